//! The audit: checks every attempt against what was requested, and returns valid, suspect or invalid, with reasons.
//! `docs/methodology.md` explains the thresholds.

use protocol::load::LoadKind;
use protocol::summary::{Exit, KernelEventKind, KernelLogSummary, Summary};

use crate::store::{
    Distribution, Latency, ReadbackRecord, Reason, RequestCounts, Rule, SettleRecord, TrialRecord, Validity, Verdict,
    Window,
};

/// Thresholds of the audit.
pub mod limits {
    /// Share of failed requests above which an attempt is suspect.
    pub const FAILED_SUSPECT: f64 = 0.001;
    /// Share above which it is invalid: it then measures failures, not a service.
    pub const FAILED_INVALID: f64 = 0.5;
    /// Allowed relative difference between concurrency and throughput x service time.
    pub const LITTLE_TOLERANCE: f64 = 0.10;
    /// Mean service time, ns, below which Little's law is not checked: clock reads take a share of it.
    pub const LITTLE_MIN_NS: f64 = 10_000.0;
    /// Number of requests below which it is not checked: those at the window's edges weigh too much.
    pub const LITTLE_MIN_REQUESTS: u64 = 100;
    /// Allowed p99 lag as a share of the scheduled interval between requests: requests then keep their order and nearly their spacing.
    pub const LAG_INTERVAL_SHARE: f64 = 0.25;
    /// Lower bound of that limit, ns: a kernel wake-up takes as long.
    pub const LAG_MIN_NS: u64 = 100_000;
    /// Upper bound of that limit, ns: lag is part of every response time.
    pub const LAG_MAX_NS: u64 = 500_000;
    /// Median lag, ns, above which an attempt is suspect: it is part of the median response time, by which platforms are compared.
    pub const LAG_MEDIAN_NS: u64 = 100_000;
    /// P99 lag, ns, above which an attempt is invalid: the load was not the one requested.
    pub const LAG_INVALID_NS: u64 = 10_000_000;
    /// CPU share of a closed loop's thread above which the generator, not the server, limits the throughput.
    pub const GENERATOR_BUSY: f64 = 0.95;
    /// Allowed share of the time that the generator's threads wait for a CPU.
    pub const RUN_QUEUE_SHARE: f64 = 0.10;
    /// Allowed share of missed sampling ticks.
    pub const MISSED_TICKS: f64 = 0.05;
    /// Share of the window that the samples of every service must span.
    pub const COVERAGE: f64 = 0.90;
    /// Share of CPU time stolen by the hypervisor below, above which an attempt is suspect.
    pub const STEAL_SUSPECT: f64 = 0.01;
    /// Share above which it is invalid.
    pub const STEAL_INVALID: f64 = 0.10;
    /// Allowed error of the window on the runner's clock, as a share of its length.
    pub const CLOCK_ERROR: f64 = 0.05;
    /// Kinds of failure that mean a wrong reply: another service than the requested one was measured.
    pub const BODY_KINDS: [&str; 3] = ["wrong-body", "wrong-length", "trailing-bytes"];
    /// Kinds of failure caused by the load generator.
    pub const OWN_KINDS: [&str; 3] = ["fd-exhausted", "address-exhausted", "cancelled"];
}

/// Audits an attempt; the verdict already in the record is ignored.
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
    if let Some(host_wait) = &record.settle {
        settle(host_wait, &mut found);
    }
    if let Some(readback) = &record.readback {
        services_did(readback, &mut found);
    }
    if let Some(summary) = &record.summary {
        samples(record, summary, &mut found);
        steal(summary, &mut found);
        exits(summary, &mut found);
        kernel_log(&summary.kernel_log, &mut found);
    }
    Verdict {
        not_applicable: not_applicable(record),
        ..Verdict::from_reasons(found.0)
    }
}

/// The rules that do not apply, since the program that generated the load does not report what they need.
#[must_use]
pub fn not_applicable(record: &TrialRecord) -> Vec<Rule> {
    let Some(external) = &record.external else {
        return Vec::new();
    };
    let mut rules = vec![Rule::Body, Rule::GeneratorLag, Rule::GeneratorLimit];
    if !external.requests {
        rules.push(Rule::LittlesLaw);
    }
    if !external.counts {
        rules.extend([Rule::RequestCount, Rule::Errors]);
    }
    rules.sort_unstable();
    rules
}

/// The reasons found so far.
#[derive(Default)]
struct Found(Vec<Reason>);

impl Found {
    fn add(&mut self, rule: Rule, validity: Validity, text: String) {
        self.0.push(Reason { rule, validity, text });
    }

    fn suspect(&mut self, rule: Rule, text: String) {
        self.add(rule, Validity::Suspect, text);
    }

    fn invalid(&mut self, rule: Rule, text: String) {
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
        found.invalid(Rule::Completed, "READY never arrived".to_owned());
    } else if record.latency.is_none() || record.window.is_none() {
        found.invalid(Rule::Completed, "no load was generated".to_owned());
    }
    if record.summary.is_none() {
        let text = "SUMMARY never arrived: raw counters and teardown are unconfirmed".to_owned();
        found.invalid(Rule::Completed, text);
    }
}

fn requests(record: &TrialRecord, found: &mut Found) {
    let counts = &record.requests;
    if let Some(ordered) = record.load.kind.due()
        && (counts.planned as f64 - ordered).abs() > 1.0
    {
        let text = format!(
            "{} requests were scheduled, rate x duration is {ordered:.0}",
            counts.planned
        );
        found.invalid(Rule::RequestCount, text);
    }
    if counts.total != counts.planned {
        let text = format!(
            "{} of {} scheduled requests were recorded",
            counts.total, counts.planned
        );
        found.invalid(Rule::RequestCount, text);
    }
    let wrong = failures_of(counts, &limits::BODY_KINDS);
    if wrong > 0 {
        found.invalid(Rule::Body, format!("{wrong} replies had an unexpected body"));
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

/// Losses of the load generator itself.
fn packets(record: &TrialRecord, found: &mut Found) {
    let Some(udp) = &record.udp else { return };
    let dropped = udp.stream.dropped.unwrap_or(0);
    if dropped > 0 {
        let text = format!(
            "{dropped} replies were dropped at the generator's own sockets (a receive buffer of {} bytes): raise net.core.rmem_max",
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

/// The number of failures of these kinds.
fn failures_of(counts: &RequestCounts, kinds: &[&str]) -> u64 {
    kinds.iter().filter_map(|kind| counts.failed.get(*kind)).sum()
}

/// The readback: a binding violation makes the attempt invalid, any other suspect.
fn services_did(readback: &ReadbackRecord, found: &mut Found) {
    if let Some(problem) = &readback.problem {
        let text = format!("readback failed: {problem}");
        found.invalid(Rule::Readback, text);
    }
    for check in readback.checks.iter().filter(|check| check.wrong > 0) {
        let slowest = check
            .slowest_ns
            .map(|ns| format!("; slowest: {:.1} s", ns as f64 / 1e9))
            .unwrap_or_default();
        let text = format!(
            "violated in {} of {} cases: {}{slowest}",
            check.wrong, check.checked, check.what
        );
        let validity = if check.binding {
            Validity::Invalid
        } else {
            Validity::Suspect
        };
        found.add(Rule::Readback, validity, text);
    }
}

/// Little's law over the window: N = X R.
fn little(record: &TrialRecord, found: &mut Found) {
    let Some(law) = &record.little else {
        return;
    };
    if law.mean_ns < limits::LITTLE_MIN_NS || record.requests.total < limits::LITTLE_MIN_REQUESTS {
        return;
    }
    let (measured, expected) = (law.concurrency, law.throughput_per_s * law.mean_ns / 1e9);
    let off = (measured / expected - 1.0).abs();
    if off.is_nan() || off > limits::LITTLE_TOLERANCE {
        let text = format!(
            "Little's law is off by {:.0} %: concurrency {measured:.3}, throughput x service time {expected:.3}",
            off * 100.0
        );
        found.suspect(Rule::LittlesLaw, text);
    }
}

/// Lag is compared with the schedule, so the limits do not depend on the platform.
fn lag(record: &TrialRecord, latency: &Latency, found: &mut Found) {
    let limit_ns = lag_limit_ns(record);
    lag_of("the load generator", &latency.lag, limit_ns, found);
    for loader in &record.loaders {
        lag_of(&format!("loader {}", loader.host), &loader.lag, limit_ns, found);
    }
}

fn lag_of(who: &str, lag: &Distribution, limit_ns: u64, found: &mut Found) {
    let ms = |ns: u64| ns as f64 / 1e6;
    let text = |limit_ns| {
        format!(
            "p99 lag of {who}: {:.3} ms (limit {:.3} ms)",
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
            "median lag of {who}: {:.3} ms (limit {:.3} ms)",
            ms(lag.p50_ns),
            ms(limits::LAG_MEDIAN_NS)
        );
        found.suspect(Rule::GeneratorLag, text);
    }
}

/// The p99 lag limit of a load: a share of its interval, within bounds. It applies to each loader's part too.
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
        // A closed loop has no interval; httperf and JMeter do not report lag.
        LoadKind::Users(_)
        | LoadKind::Max(_)
        | LoadKind::Httperf(_)
        | LoadKind::Jmeter(_)
        | LoadKind::Command(_)
        | LoadKind::Runs(_)
        | LoadKind::None(_) => f64::INFINITY,
    };
    ((interval_ns * limits::LAG_INTERVAL_SHARE) as u64).clamp(limits::LAG_MIN_NS, limits::LAG_MAX_NS)
}

/// The load generator as the limit: CPU usage of a closed loop, waiting for a CPU in any loop.
fn generator(record: &TrialRecord, found: &mut Found) {
    let Some(generator) = &record.generator else { return };
    let percent = |share: f64| share * 100.0;
    if record.load.kind.is_closed() && generator.busiest_share > limits::GENERATOR_BUSY {
        let text = format!(
            "a thread of the load generator was busy {:.0} % of the time: the load generator limits the throughput, not the server; give it more `cpus`",
            percent(generator.busiest_share)
        );
        found.suspect(Rule::GeneratorLimit, text);
    }
    let mut run_queue = |who: &str, share: f64| {
        if share > limits::RUN_QUEUE_SHARE {
            let text = format!(
                "{who} waited {:.0} % of the time for a CPU: it is the limit, not the server; give it exclusive `cpus`",
                percent(share)
            );
            found.suspect(Rule::GeneratorLimit, text);
        }
    };
    if record.loaders.is_empty() {
        run_queue("the load generator", generator.run_queue_share);
    }
    for loader in &record.loaders {
        run_queue(&format!("loader {}", loader.host), loader.generator.run_queue_share);
    }
}

/// Loaders that did not start together.
fn loaders(record: &TrialRecord, window: &Window, found: &mut Found) {
    let length = window.end_ns.saturating_sub(window.start_ns);
    for loader in &record.loaders {
        if loader.max_skew_ns() as f64 > length as f64 * limits::CLOCK_ERROR {
            let text = format!(
                "loader {} started {:.1} ms off the common start (error {:.1} ms)",
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
            "the window on the runner's clock has an error of {:.1} ms and a length of {:.1} ms",
            window.error_ns as f64 / 1e6,
            length as f64 / 1e6
        );
        found.suspect(Rule::Clock, text);
    }
}

fn samples(record: &TrialRecord, summary: &Summary, found: &mut Found) {
    let received = &record.sampling;
    if (received.batches, received.samples) != (summary.batches, summary.samples) {
        let text = format!(
            "received {} samples in {} batches of {} in {}",
            received.samples, received.batches, summary.samples, summary.batches
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
            "steal: {:.1} % of the host's CPU time went to the hypervisor",
            share * 100.0
        )
    };
    if share > limits::STEAL_INVALID {
        found.invalid(Rule::Steal, text());
    } else if share > limits::STEAL_SUSPECT {
        found.suspect(Rule::Steal, text());
    }
}

fn exits(summary: &Summary, found: &mut Found) {
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
                format!("virtiofsd, which serves a directory to the guest of {name}, exited before it"),
            ),
            Exit::Signal(n) => found.invalid(Rule::ServiceEnd, format!("{name} was killed by signal {n}")),
            Exit::Code(code) => found.suspect(Rule::ServiceEnd, format!("{name} exited with code {code}")),
            Exit::Killed => {
                found.suspect(
                    Rule::ServiceEnd,
                    format!("{name} did not terminate within the grace period and was killed"),
                );
            }
            Exit::Unknown => found.suspect(Rule::ServiceEnd, format!("the exit of {name} was not observed")),
        }
    }
    if !summary.teardown.leftovers.is_empty() {
        let text = format!("leftovers on the host: {}", summary.teardown.leftovers.join(", "));
        found.invalid(Rule::Leftovers, text);
    }
}

/// A log that could not be read gives no reason.
fn kernel_log(log: &KernelLogSummary, found: &mut Found) {
    for trouble in &log.troubles {
        let text = format!("kernel log: {:?} ({})", trouble.text, trouble.kind.as_str());
        match trouble.kind {
            KernelEventKind::OutOfMemory => found.invalid(Rule::KernelLog, text),
            _ => found.suspect(Rule::KernelLog, text),
        }
    }
}

/// Limits of `[band]` that were still exceeded when the trial began.
fn settle(settle: &SettleRecord, found: &mut Found) {
    if !settle.outside.is_empty() {
        let text = format!(
            "after {} s the host still exceeded the limits of [band]: {}",
            settle.waited_ns / 1_000_000_000,
            settle.outside.join("; ")
        );
        found.suspect(Rule::Settle, text);
    }
}

#[cfg(test)]
mod tests;
