//! The rules. Each looks at one thing and adds a reason if it is not right.

use protocol::load::LoadKind;
use protocol::summary::{Exit, Summary};

use super::{host, limits};
use crate::store::{Distribution, Latency, RequestCounts, TrialRecord, TruthRecord, Window};
use crate::store::{Reason, Rule, Validity, Verdict};

/// Holds an attempt against what it should have been; the verdict that it bears already is not looked at.
#[must_use]
pub fn audit(record: &TrialRecord) -> Verdict {
    let mut found = Found::default();
    completed(record, &mut found);
    if let (Some(latency), Some(window)) = (&record.latency, &record.window) {
        requests(record, &mut found);
        packets(record, &mut found);
        little(record, &mut found);
        lag(record, latency, &mut found);
        generator(record, &mut found);
        clock(window, &mut found);
        loaders(record, window, &mut found);
    }
    if let Some(band) = &record.band {
        host::band(band, &mut found);
    }
    if let Some(record) = &record.truth {
        truth(record, &mut found);
    }
    if let Some(summary) = &record.summary {
        samples(record, summary, &mut found);
        steal(summary, &mut found);
        ends(summary, &mut found);
        host::kernel_log(&summary.kernel_log, &mut found);
    }
    Verdict::from_reasons(found.0)
}

/// The reasons so far.
#[derive(Default)]
pub(super) struct Found(Vec<Reason>);

impl Found {
    fn add(&mut self, rule: Rule, validity: Validity, text: String) {
        self.0.push(Reason { rule, validity, text });
    }

    pub(super) fn suspect(&mut self, rule: Rule, text: String) {
        self.add(rule, Validity::Suspect, text);
    }

    pub(super) fn invalid(&mut self, rule: Rule, text: String) {
        self.add(rule, Validity::Invalid, text);
    }
}

fn completed(record: &TrialRecord, found: &mut Found) {
    if let Some(failure) = &record.failure {
        found.invalid(
            Rule::Completed,
            format!("aborted during {}: {}", failure.stage, failure.why),
        );
    } else if record.ready.is_none() {
        found.invalid(Rule::Completed, "READY never came".to_owned());
    } else if record.latency.is_none() || record.window.is_none() {
        found.invalid(Rule::Completed, "no load was generated".to_owned());
    }
    if record.summary.is_none() {
        let text = "SUMMARY never came: neither the raw counters nor the teardown are confirmed".to_owned();
        found.invalid(Rule::Completed, text);
    }
}

fn requests(record: &TrialRecord, found: &mut Found) {
    let counts = &record.requests;
    if let Some(ordered) = record.load.kind.due()
        && (counts.planned as f64 - ordered).abs() > 1.0
    {
        let text = format!("{} requests were due, rate x duration is {ordered:.0}", counts.planned);
        found.invalid(Rule::RequestCount, text);
    }
    if counts.total != counts.planned {
        let text = format!(
            "{} requests are recorded of {} that were due",
            counts.total, counts.planned
        );
        found.invalid(Rule::RequestCount, text);
    }
    let wrong = failures_of(counts, &limits::BODY_KINDS);
    if wrong > 0 {
        found.invalid(Rule::Body, format!("{wrong} replies had another body than expected"));
    }
    let own = failures_of(counts, &limits::OWN_KINDS);
    if own > 0 {
        let text =
            format!("{own} requests failed because the load generator ran out of local resources, or were cancelled");
        found.invalid(Rule::Errors, text);
    }
    let share = counts.failed_share();
    let text = || {
        let kinds: Vec<_> = counts.failed.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        let (failures, total) = (counts.failures(), counts.total);
        format!(
            "{failures} of {total} requests failed ({:.2} %): {}",
            share * 100.0,
            kinds.join(", ")
        )
    };
    if share > limits::FAILED_INVALID {
        found.invalid(Rule::Errors, text());
    } else if share > limits::FAILED_SUSPECT {
        found.suspect(Rule::Errors, text());
    }
}

/// What the generator itself lost says nothing of the service.
fn packets(record: &TrialRecord, found: &mut Found) {
    let Some(udp) = &record.udp else { return };
    let dropped = udp.stream.dropped.unwrap_or(0);
    if dropped > 0 {
        let text = format!(
            "{dropped} replies were dropped at the generator's own sockets (a receive buffer of {} bytes): raise net.core.rmem_max there",
            udp.receive_buffer
        );
        found.invalid(Rule::Errors, text);
    }
    if udp.stream.unsent > 0 {
        let text = format!(
            "{} packets could not be sent on the generator's machine",
            udp.stream.unsent
        );
        found.invalid(Rule::Errors, text);
    }
}

/// Failures of these kinds together.
fn failures_of(counts: &RequestCounts, kinds: &[&str]) -> u64 {
    kinds.iter().filter_map(|kind| counts.failed.get(*kind)).sum()
}

/// What the services really did. A promise that was broken makes the trial worthless; one that was kept late says that they were overloaded.
fn truth(record: &TruthRecord, found: &mut Found) {
    if let Some(problem) = &record.problem {
        let text = format!("what the services really did could not be read back: {problem}");
        found.invalid(Rule::Truth, text);
    }
    for check in record.checks.iter().filter(|check| check.wrong > 0) {
        let slowest = check
            .slowest_ns
            .map(|ns| format!(", the slowest took {:.1} s", ns as f64 / 1e9))
            .unwrap_or_default();
        let text = format!(
            "not so in {} of {} cases: {}{slowest}",
            check.wrong, check.checked, check.what
        );
        let validity = if check.binding {
            Validity::Invalid
        } else {
            Validity::Suspect
        };
        found.add(Rule::Truth, validity, text);
    }
}

/// Little's law over the window: N = X R.
fn little(record: &TrialRecord, found: &mut Found) {
    let Some(law) = &record.little else {
        return;
    };
    if law.mean_ns < limits::LITTLE_LEAST_NS || record.requests.total < limits::LITTLE_LEAST_REQUESTS {
        return;
    }
    let (measured, expected) = (law.concurrency, law.throughput_per_s * law.mean_ns / 1e9);
    let off = (measured / expected - 1.0).abs();
    if off.is_nan() || off > limits::LITTLE_TOLERANCE {
        let text = format!(
            "Little's law is off by {:.0} %: {measured:.3} requests were under way, rate x service time is {expected:.3}",
            off * 100.0
        );
        found.suspect(Rule::LittlesLaw, text);
    }
}

/// How late the generator was, against the times of the order: the limits are the same whatever the platform, and however fast it answers.
fn lag(record: &TrialRecord, latency: &Latency, found: &mut Found) {
    let limit_ns = lag_limit_ns(record);
    late("the generator", &latency.lag, limit_ns, found);
    for loader in &record.loaders {
        late(&format!("loader {}", loader.host), &loader.lag, limit_ns, found);
    }
}

fn late(who: &str, lag: &Distribution, limit_ns: u64, found: &mut Found) {
    let ms = |ns: u64| ns as f64 / 1e6;
    let text = |limit_ns| {
        format!(
            "the p99 lag of {who} is {:.3} ms, at most {:.3} ms keeps the order's times",
            ms(lag.p99_ns),
            ms(limit_ns)
        )
    };
    if lag.p99_ns > limits::LAG_INVALID_NS {
        found.invalid(Rule::GeneratorLag, text(limits::LAG_INVALID_NS));
    } else if lag.p99_ns > limit_ns {
        found.suspect(Rule::GeneratorLag, text(limit_ns));
    } else if lag.p50_ns > limits::LAG_MEDIAN_NS {
        let text = format!(
            "the median lag of {who} is {:.3} ms, at most {:.3} ms may be in the median response time",
            ms(lag.p50_ns),
            ms(limits::LAG_MEDIAN_NS)
        );
        found.suspect(Rule::GeneratorLag, text);
    }
}

/// The p99 lag that a load may have: a share of its interval, within bounds. A loader's part is held against the interval of the whole load.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive float saturates, and is clamped"
)]
fn lag_limit_ns(record: &TrialRecord) -> u64 {
    let interval_ns = match &record.load.kind {
        LoadKind::Rate(rate) => 1e9 / rate.rate_per_s,
        LoadKind::Ramp(ramp) => {
            let knee = record.ramp.as_ref().and_then(|ramp| ramp.knee.as_ref());
            1e9 / knee.map_or(ramp.bounds.from, |knee| knee.rate_per_s)
        }
        LoadKind::Udp(udp) => udp.pace.as_nanos() as f64,
        // A closed loop has no interval; the others do not tell their lag.
        LoadKind::Users(_) | LoadKind::Max(_) | LoadKind::Httperf(_) | LoadKind::Jmeter(_) | LoadKind::None(_) => {
            f64::INFINITY
        }
    };
    ((interval_ns * limits::LAG_INTERVAL_SHARE) as u64).clamp(limits::LAG_LEAST_NS, limits::LAG_MOST_NS)
}

/// The generator's own limit: of a closed loop its CPU, of any loop the CPU that it had to wait for.
fn generator(record: &TrialRecord, found: &mut Found) {
    let Some(generator) = &record.generator else { return };
    let percent = |share: f64| share * 100.0;
    if record.load.kind.is_closed() && generator.busiest_share > limits::GENERATOR_BUSY {
        let text = format!(
            "a thread of the generator had something to do {:.0} % of the time: the throughput is the generator's own limit, not the server's; name more `cpus`",
            percent(generator.busiest_share)
        );
        found.suspect(Rule::GeneratorLimit, text);
    }
    let mut waited = |who: &str, share: f64| {
        if share > limits::RUN_QUEUE_SHARE {
            let text = format!(
                "{who} waited {:.0} % of the time for a CPU, which is its own limit, not the server's; give it `cpus` that nothing else uses",
                percent(share)
            );
            found.suspect(Rule::GeneratorLimit, text);
        }
    };
    if record.loaders.is_empty() {
        waited("the generator", generator.run_queue_share);
    }
    for loader in &record.loaders {
        waited(&format!("loader {}", loader.host), loader.generator.run_queue_share);
    }
}

/// Loaders that began apart.
fn loaders(record: &TrialRecord, window: &Window, found: &mut Found) {
    let length = window.end_ns.saturating_sub(window.start_ns);
    for loader in &record.loaders {
        if loader.furthest_ns() as f64 > length as f64 * limits::CLOCK_ERROR {
            let text = format!(
                "loader {} began {:.1} ms off the common start, more or less {:.1} ms",
                loader.host,
                loader.skew_ns as f64 / 1e6,
                loader.clock_error_ns as f64 / 1e6
            );
            found.suspect(Rule::Clock, text);
        }
    }
}

fn clock(window: &Window, found: &mut Found) {
    let length = window.runner_end_ns.saturating_sub(window.runner_start_ns);
    if window.error_ns as f64 > length as f64 * limits::CLOCK_ERROR {
        let text = format!(
            "the window on the runner's clock is known to {:.1} ms only, and is {:.1} ms long",
            window.error_ns as f64 / 1e6,
            length as f64 / 1e6
        );
        found.suspect(Rule::Clock, text);
    }
}

fn samples(record: &TrialRecord, summary: &Summary, found: &mut Found) {
    let got = &record.sampling;
    if (got.batches, got.samples) != (summary.batches, summary.samples) {
        let text = format!(
            "{} samples in {} batches arrived of {} in {}",
            got.samples, got.batches, summary.samples, summary.batches
        );
        found.suspect(Rule::Samples, text);
    }
    for service in &summary.services {
        let used = record.resources.iter().find(|u| u.service == service.service);
        let coverage = used.map_or(0.0, |u| u.coverage);
        if record.window.is_some() && coverage < limits::COVERAGE {
            let text = format!(
                "the samples of {} span {:.0} % of the window",
                service.service,
                coverage * 100.0
            );
            found.suspect(Rule::Samples, text);
        }
    }
    let ticks = summary.services.iter().map(|s| s.samples).max().unwrap_or(0) + summary.missed_ticks;
    if summary.missed_ticks as f64 > ticks as f64 * limits::MISSED_TICKS {
        let text = format!("the sampler missed {} of {ticks} ticks", summary.missed_ticks);
        found.suspect(Rule::MissedTicks, text);
    }
}

fn steal(summary: &Summary, found: &mut Found) {
    let host = &summary.host;
    let all = host.user_ticks + host.system_ticks + host.interrupt_ticks + host.idle_ticks + host.steal_ticks;
    let share = host.steal_ticks as f64 / all.max(1) as f64;
    let text = || {
        format!(
            "the hypervisor below took {:.1} % of the host's CPU time",
            share * 100.0
        )
    };
    if share > limits::STEAL_INVALID {
        found.invalid(Rule::Steal, text());
    } else if share > limits::STEAL_SUSPECT {
        found.suspect(Rule::Steal, text());
    }
}

fn ends(summary: &Summary, found: &mut Found) {
    const TERM: i32 = 15;
    for service in &summary.services {
        let name = &service.service;
        match service.exit {
            Exit::Code(0) | Exit::Signal(TERM) => {}
            Exit::Code(code @ 128..) if code == 128 + TERM => {}
            Exit::OutOfMemory => found.invalid(Rule::ServiceEnd, format!("{name} was killed for memory")),
            Exit::Crashed => found.invalid(Rule::ServiceEnd, format!("the guest of {name} crashed")),
            Exit::Unserved => found.invalid(
                Rule::ServiceEnd,
                format!("what served the guest of {name} a directory (virtiofsd) ended before it"),
            ),
            Exit::Signal(n) => found.invalid(Rule::ServiceEnd, format!("signal {n} ended {name}")),
            Exit::Code(code) => found.suspect(Rule::ServiceEnd, format!("{name} ended with exit code {code}")),
            Exit::Killed => {
                found.suspect(
                    Rule::ServiceEnd,
                    format!("{name} did not end when asked and was killed"),
                );
            }
            Exit::Unknown => found.suspect(Rule::ServiceEnd, format!("the end of {name} was not seen")),
        }
    }
    if !summary.teardown.leftovers.is_empty() {
        let text = format!("left behind on the host: {}", summary.teardown.leftovers.join(", "));
        found.invalid(Rule::Leftovers, text);
    }
}
