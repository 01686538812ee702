//! The sentences that `report.md` and `report.html` share.

use protocol::Name;

use super::analysis::{Analysis, CellResult, Comparison};
use super::format::{count, interval, number, p_value};
use super::load::RunData;
use super::metric::Metric;
use crate::stats::bootstrap::RESAMPLES;
use crate::stats::trend;
use crate::text::counted;
use protocol::load::{LoadKind, Think, Wait};

/// The headline.
pub(super) fn title(data: &RunData) -> String {
    let platforms: Vec<_> = data
        .manifest
        .experiment
        .platforms
        .iter()
        .map(|p| p.name.to_string())
        .collect();
    format!("{}: {}", data.manifest.experiment.name, platforms.join(" against "))
}

/// What was run, when, how much of it counts.
pub(super) fn subtitle(data: &RunData) -> String {
    let manifest = &data.manifest;
    let requests: u64 = data.trials.iter().map(|t| t.record.requests.total).sum();
    format!(
        "Run {}, begun {} UTC. {} of {} trials count, with {} requests; n is the number of trials, that is fresh deployments.",
        manifest.run,
        manifest.started.strftime("%-d %B %Y %H:%M"),
        data.trials.len(),
        manifest.plan.len(),
        count(requests)
    )
}

/// Every workload with every load that goes with it.
pub(super) fn groups(data: &RunData) -> Vec<(Name, Name)> {
    let mut pairs: Vec<_> = data
        .manifest
        .experiment
        .cells()
        .map(|cell| (cell.workload, cell.load))
        .collect();
    pairs.dedup();
    pairs
}

/// The heading of a table.
pub(super) fn group_title(data: &RunData, workload: &Name, load: &Name) -> String {
    let order = data
        .manifest
        .experiment
        .loads
        .iter()
        .find(|l| l.name == *load)
        .map(|l| order(&l.spec.kind));
    format!("{workload} under {load}: {}", order.unwrap_or_default())
}

/// A load, in a phrase.
fn order(load: &LoadKind) -> String {
    let seconds = load.measured().duration.as_secs_f64();
    let connections = if load.keeps_alive() {
        "connections kept open"
    } else {
        "one connection a request"
    };
    match load {
        LoadKind::Rate(rate) => format!(
            "{} requests/s for {seconds} s, {}, {connections}",
            rate.rate_per_s, rate.arrivals
        ),
        LoadKind::Ramp(ramp) => {
            let response = ramp.limit.response.map_or_else(String::new, |longest| {
                format!(
                    " or p{} above {} ms",
                    ramp.limit.quantile * 100.0,
                    longest.as_nanos() as f64 / 1e6
                )
            });
            format!(
                "search for the highest rate from {} to {} requests/s in steps of {}, until more than {} % fail{response}; then {seconds} s at that rate, {connections}",
                ramp.bounds.from,
                ramp.bounds.to,
                ramp.bounds.step,
                ramp.limit.errors * 100.0
            )
        }
        LoadKind::Users(users) => {
            let think = match users.think {
                think if think.mean().is_zero() => "no think time".to_owned(),
                Think::Exponential(mean) => format!("exponential think time of {} s on average", mean.as_secs_f64()),
                Think::Constant(pause) => format!("think time of {} s", pause.as_secs_f64()),
            };
            let extent = match users.requests {
                Some(list) => format!("{} requests each", list.each),
                None => format!("for {seconds} s"),
            };
            format!("closed loop of {} users, {extent}, {think}, {connections}", users.users)
        }
        LoadKind::Httperf(httperf) => format!(
            "httperf: {} connections/s of {} for {seconds} s; it does not tell single requests, percentiles above the median, and its own lag",
            httperf.rate_per_s,
            counted(httperf.calls as usize, "request")
        ),
        LoadKind::Jmeter(jmeter) => format!(
            "Apache JMeter: {} threads for {seconds} s, think time of {} s, {connections}; it tells whole milliseconds, and not its own lag",
            jmeter.users,
            jmeter.think.as_secs_f64()
        ),
        LoadKind::None(_) => format!("nothing is sent; the services are left alone for {seconds} s"),
        LoadKind::Udp(udp) => {
            let pace = match udp.pace.as_nanos() {
                0 => "as fast as they go".to_owned(),
                ns => format!("one every {} us", ns as f64 / 1e3),
            };
            let window = match udp.window {
                Some(window) => format!("at most {window} under way"),
                None => "open loop".to_owned(),
            };
            format!("{} packets of {} bytes, {pace}, {window}", count(udp.packets), udp.size)
        }
        LoadKind::Max(max) => {
            let count = max.connections;
            format!("closed loop of {count} connections as fast as they go for {seconds} s, {connections}")
        }
    }
}

/// What follows from the tests, in sentences; what is not significant is said to be so.
pub(super) fn findings(data: &RunData, analysis: &Analysis) -> Vec<String> {
    const LEVEL: f64 = 0.05;
    let baseline = &data.manifest.experiment.baseline;
    let mut lines = knees(data);
    if analysis.comparisons.is_empty() {
        lines.push(
            "There is nothing to compare: a comparison needs the baseline and another platform with trials that count."
                .to_owned(),
        );
        return lines;
    }
    lines.extend(described(analysis, baseline));
    let mut quiet = 0;
    for c in &analysis.comparisons {
        if c.p < LEVEL {
            lines.push(sentence(c, baseline));
        } else {
            quiet += 1;
        }
    }
    if quiet > 0 {
        let all = analysis.comparisons.len();
        let text =
            "show no significant difference (p ≥ 0.05 after Holm's correction). That is no proof that there is none.";
        lines.push(format!("{quiet} of {all} comparisons with {baseline} {text}"));
    }
    lines
}

/// The highest rates that were sustained, where a load searched for them: the median over trials, and the trial that found it.
fn knees(data: &RunData) -> Vec<String> {
    let mut lines = Vec::new();
    for cell in data.manifest.experiment.cells() {
        let ramps: Vec<_> = data.of(&cell).filter_map(|trial| trial.record.ramp.as_ref()).collect();
        let mut knees: Vec<_> = ramps.iter().filter_map(|ramp| ramp.knee).collect();
        knees.sort_by(|a, b| a.rate_per_s.total_cmp(&b.rate_per_s));
        if let Some(middle) = knees.get(knees.len().saturating_sub(1) / 2) {
            let n = ramps.len();
            lines.push(format!(
                "{cell}: the highest rate sustained lies {} (the median of {}).",
                middle.phrase(),
                counted(n, "trial")
            ));
        } else if !ramps.is_empty() {
            lines.push(format!("{cell}: not even the first rate of the search was sustained."));
        }
    }
    lines
}

/// Where there are too few trials for any test: the ratios all the same, said to be no more than that.
fn described(analysis: &Analysis, baseline: &Name) -> Vec<String> {
    let few = analysis
        .cells
        .iter()
        .filter(|c| c.cell.platform != *baseline && c.n > 0 && c.n < trend::LEAST);
    let one = |cell: &CellResult| {
        let ratio = |metric: Metric| {
            let c = analysis.comparison(&cell.cell, metric)?;
            Some(format!("{} {}\u{a0}×", lower_first(metric.title()), number(c.ratio)))
        };
        let ratios: Vec<_> = Metric::COMPARED.iter().filter_map(|&m| ratio(m)).collect();
        format!(
            "{}, {} against {baseline}: {}. Medians of {} trials, too few to tell from chance.",
            cell.cell.load,
            cell.cell.platform,
            ratios.join("; "),
            cell.n
        )
    };
    few.map(one).collect()
}

fn sentence(c: &Comparison, baseline: &Name) -> String {
    let within = interval(c.interval).map_or_else(String::new, |i| format!(" [{i}]"));
    format!(
        "{}, {}: {} is {}{within} times that of {baseline} (p {}, {} effect).",
        c.cell.load,
        c.cell.platform,
        lower_first(c.metric.title()),
        number(c.ratio),
        p_value(c.p),
        crate::stats::rank::magnitude(c.delta)
    )
}

/// `CPU` stays, `Start-up` becomes `start-up`.
fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(a), Some(b)) if b.is_lowercase() => format!("{}{}", a.to_lowercase(), &text[a.len_utf8()..]),
        _ => text.to_owned(),
    }
}

/// How it was measured.
pub(super) fn method(data: &RunData, analysis: &Analysis) -> Vec<String> {
    let e = &data.manifest.experiment;
    let order = if e.order == "batch" {
        "all trials of a cell one after another (batch): drift of the host can look like a difference"
    } else {
        "randomised blocks: every block holds one trial of every cell in random order"
    };
    let limits = match (&e.resources.cpuset, e.resources.memory_mib) {
        (None, None) => "no limits on CPU and memory".to_owned(),
        (cpus, memory) => {
            let cpus = cpus.as_ref().map_or("all CPUs".to_owned(), |c| format!("CPUs {c}"));
            format!(
                "{cpus}, {}",
                memory.map_or("memory not limited".to_owned(), |m| format!("{m} MiB of memory"))
            )
        }
    };
    let awake = if e.loads.iter().any(|load| load.spec.wait == Wait::Spin) {
        " Threads of the generator never slept while they waited for replies (wait = \"spin\")."
    } else {
        " Threads of the generator slept while they waited for replies, so what the kernel took to wake them is in the response time (wait = \"sleep\")."
    };
    vec![
        format!("Order: {order}; seed {}, {} blocks, up to {} attempts a trial.", e.seed, e.iterations, e.max_attempts),
        format!("Every service gets {limits}. Every trial is a fresh deployment, and its teardown is verified."),
        format!("Load: response time counts from when a request was due, so in an open loop a stall of the service or of the generator counts in full; percentiles are of good replies.{awake}"),
        "Latency percentiles come from histograms in ns with three significant digits, added over trials, never averaged.".to_owned(),
        format!("CPU (% of one core) and resident memory: raw counters of every process of the services, every {} ms, cut to the measured window.", e.sampling_interval_ms),
        "Start-up: from the driver's call to the first correct reply; making the image is not part of it.".to_owned(),
        format!(
            "Tables show the median over trials with its order-statistic interval; ratios are of medians with a bootstrap interval \
             ({RESAMPLES} resamples); p-values are Mann-Whitney's, two-sided, corrected by Holm over all {} tests of this report; effect: Cliff's delta.",
            analysis.comparisons.len()
        ),
        "Every attempt audits itself (counts, Little's law, generator lag, bodies, samples, steal, leftovers). Invalid ones are kept, do not count, and were tried again. Of two attempts the first valid one counts.".to_owned(),
        "Everything here is rebuilt from the raw data by the command controller report, which checks it against the journal's SHA-256 sums first. Formulas: docs/metrics.md.".to_owned(),
    ]
}
