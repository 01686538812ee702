//! The sentences shared by `report.md` and `report.html`.

use protocol::Name;

use super::analysis::{Analysis, CellResult, Comparison};
use super::format::{count, interval, number, p_value};
use super::load::RunData;
use super::metric::Metric;
use crate::audit;
use crate::stats::bootstrap::RESAMPLES;
use crate::stats::hypothesis;
use crate::store::{LoadRecord, Rule};
use crate::text::counted;
use protocol::load::{CommandLoad, LoadKind, SearchLimit, StreamStats, Think, UdpStats, Wait};

/// The title.
pub(super) fn title(data: &RunData) -> String {
    let platforms: Vec<_> = data
        .manifest
        .experiment
        .platforms
        .iter()
        .map(|p| p.name.to_string())
        .collect();
    format!("{}: {}", data.manifest.experiment.name, platforms.join(" vs "))
}

/// The subtitle: run, start time, number of trials and requests.
pub(super) fn subtitle(data: &RunData) -> String {
    let manifest = &data.manifest;
    let requests: u64 = data.trials.iter().map(|t| t.record.requests.total).sum();
    format!(
        "Run {}, started {} UTC. {} of {} trials count, with {} requests; n is the number of trials (fresh deployments).",
        manifest.run,
        manifest.started.strftime("%-d %B %Y %H:%M"),
        data.trials.len(),
        manifest.plan.len(),
        count(requests)
    )
}

/// Every pair of workload and load that has cells.
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

/// The heading of a workload and load.
pub(super) fn group_title(data: &RunData, workload: &Name, load: &Name) -> String {
    let description = data
        .manifest
        .experiment
        .loads
        .iter()
        .find(|l| l.name == *load)
        .map(|l| describe(&l.spec.kind));
    format!("{workload} under {load}: {}", description.unwrap_or_default())
}

/// A load, as a phrase.
fn describe(load: &LoadKind) -> String {
    let seconds = load.measured().duration.as_secs_f64();
    let connections = if load.keeps_alive() {
        "keep-alive connections"
    } else {
        "one connection per request"
    };
    match load {
        LoadKind::Rate(rate) => format!(
            "{} requests/s for {seconds} s, {}, {connections}",
            rate.rate_per_s, rate.arrivals
        ),
        LoadKind::Ramp(ramp) => {
            let response = ramp.limit.response.map_or_else(String::new, |longest| {
                format!(
                    ", p{} at most {} ms",
                    ramp.limit.quantile * 100.0,
                    longest.as_nanos() as f64 / 1e6
                )
            });
            format!(
                "search for the highest sustained rate from {} to {} requests/s in steps of {} (at most {} % failed{response}), then {seconds} s at that rate, {connections}",
                ramp.bounds.from,
                ramp.bounds.to,
                ramp.bounds.step,
                ramp.limit.errors * 100.0
            )
        }
        LoadKind::Users(users) => {
            let think = match users.think {
                think if think.mean().is_zero() => "no think time".to_owned(),
                Think::Exponential(mean) => format!("exponential think time with mean {} s", mean.as_secs_f64()),
                Think::Constant(pause) => format!("think time of {} s", pause.as_secs_f64()),
            };
            let extent = match users.requests {
                Some(list) => format!("{} requests each", list.each),
                None => format!("for {seconds} s"),
            };
            format!("closed loop of {} users, {extent}, {think}, {connections}", users.users)
        }
        LoadKind::Httperf(httperf) => format!(
            "httperf: {} connections/s of {} for {seconds} s; no single requests, percentiles above the median, or lag",
            httperf.rate_per_s,
            counted(httperf.calls as usize, "request")
        ),
        LoadKind::Jmeter(jmeter) => format!(
            "Apache JMeter: {} threads for {seconds} s, think time of {} s, {connections}; resolution 1 ms, no lag",
            jmeter.users,
            jmeter.think.as_secs_f64()
        ),
        LoadKind::Command(command) => program(command),
        LoadKind::None(_) => format!("no load for {seconds} s"),
        LoadKind::Runs(load) => format!(
            "{} of the program, one after the other{}; response times include the request of each",
            counted(load.runs as usize, "run"),
            match load.warm_up_runs {
                0 => String::new(),
                warm_up => format!(", after {} for warm-up", counted(warm_up as usize, "run")),
            }
        ),
        LoadKind::Udp(udp) => {
            let pace = match udp.pace.as_nanos() {
                0 => "as fast as possible".to_owned(),
                ns => format!("one every {} us", ns as f64 / 1e3),
            };
            let window = match udp.window {
                Some(window) => format!("at most {window} in flight"),
                None => "open loop".to_owned(),
            };
            format!("{} packets of {} bytes, {pace}, {window}", count(udp.packets), udp.size)
        }
        LoadKind::Max(max) => {
            let count = max.connections;
            format!("closed loop of {count} connections without think time for {seconds} s, {connections}")
        }
    }
}

/// A load program, as a phrase.
fn program(load: &CommandLoad) -> String {
    let mut text = format!("the load program {}", load.title());
    let parameters: Vec<_> = load
        .parameters
        .iter()
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    if !parameters.is_empty() {
        text += &format!(" with {}", parameters.join(", "));
    }
    match load.timing.duration {
        time if time.is_zero() => text += ", until it ends",
        time => text += &format!(", for {} s", time.as_secs_f64()),
    }
    text
}

/// The findings: significant comparisons, and how many were not significant.
pub(super) fn findings(data: &RunData, analysis: &Analysis) -> Vec<String> {
    const LEVEL: f64 = 0.05;
    let baseline = &data.manifest.experiment.baseline;
    let mut lines = knees(data);
    if analysis.comparisons.is_empty() {
        lines.push(
            "No comparison is possible: it takes valid trials of the baseline and of another platform.".to_owned(),
        );
        return lines;
    }
    lines.extend(untested_ratios(analysis, baseline));
    let mut not_significant = 0;
    for c in &analysis.comparisons {
        if c.p < LEVEL {
            lines.push(comparison(c, baseline));
        } else {
            not_significant += 1;
        }
    }
    if not_significant > 0 {
        let all = analysis.comparisons.len();
        let text = "show no significant difference (p ≥ 0.05, Holm-corrected). This does not prove equality.";
        lines.push(format!("{not_significant} of {all} comparisons with {baseline} {text}"));
    }
    lines
}

/// The highest sustained rate of each cell whose load searches for it: the median trial.
fn knees(data: &RunData) -> Vec<String> {
    let mut lines = Vec::new();
    for cell in data.manifest.experiment.cells() {
        let ramps: Vec<_> = data.of(&cell).filter_map(|trial| trial.record.ramp.as_ref()).collect();
        let mut knees: Vec<_> = ramps.iter().filter_map(|ramp| ramp.knee).collect();
        knees.sort_by(|a, b| a.rate_per_s.total_cmp(&b.rate_per_s));
        if let Some(median) = knees.get(knees.len().saturating_sub(1) / 2) {
            let n = ramps.len();
            lines.push(format!(
                "{cell}: the highest sustained rate is {} (median of {}).",
                median.phrase(),
                counted(n, "trial")
            ));
        } else if !ramps.is_empty() {
            lines.push(format!("{cell}: the first rate of the search was not sustained."));
        }
    }
    lines
}

/// Ratios of cells with too few trials for a test.
fn untested_ratios(analysis: &Analysis, baseline: &Name) -> Vec<String> {
    let few = analysis
        .cells
        .iter()
        .filter(|c| c.cell.platform != *baseline && c.n > 0 && c.n < hypothesis::MIN_TRIALS);
    let one = |cell: &CellResult| {
        let ratio = |metric: &Metric| {
            let c = analysis.comparison(&cell.cell, metric)?;
            Some(format!("{} {}\u{a0}×", lower_first(&metric.title()), number(c.ratio)))
        };
        let ratios: Vec<_> = cell.metrics.iter().filter_map(|m| ratio(&m.metric)).collect();
        format!(
            "{}, {} vs {baseline}: {} (medians of {} trials, too few for a test).",
            cell.cell.load,
            cell.cell.platform,
            ratios.join("; "),
            cell.n
        )
    };
    few.map(one).collect()
}

fn comparison(c: &Comparison, baseline: &Name) -> String {
    let within = interval(c.interval).map_or_else(String::new, |i| format!(" [{i}]"));
    format!(
        "{}, {}: {} is {}{within} times that of {baseline} (p {}, {} effect).",
        c.cell.load,
        c.cell.platform,
        lower_first(&c.metric.title()),
        number(c.ratio),
        p_value(c.p),
        crate::stats::hypothesis::magnitude(c.delta)
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

/// The method section.
pub(super) fn method(data: &RunData, analysis: &Analysis) -> Vec<String> {
    let e = &data.manifest.experiment;
    let order = if e.order == "batch" {
        "batch: all trials of a cell in sequence, so that drift of the host can pass for a difference"
    } else {
        "randomized blocks: every block holds one trial of every cell in random order"
    };
    let limits = match (&e.resources.cpuset, e.resources.memory_mib) {
        (None, None) => "no CPU or memory limits".to_owned(),
        (cpus, memory) => {
            let cpus = cpus.as_ref().map_or("all CPUs".to_owned(), |c| format!("CPUs {c}"));
            format!(
                "{cpus}, {}",
                memory.map_or("no memory limit".to_owned(), |m| format!("{m} MiB of memory"))
            )
        }
    };
    let wait = if e.loads.iter().any(|load| load.spec.wait == Wait::Spin) {
        " The load generator's threads polled for replies without sleeping (wait = \"spin\")."
    } else {
        " The load generator's threads slept while they waited for replies, so response times include the kernel's wake-up time (wait = \"sleep\")."
    };
    let mut lines = vec![
        format!("Order: {order}; seed {}, {} blocks, up to {} attempts per trial.", e.seed, e.iterations, e.max_attempts),
        format!("Limits of every service: {limits}. Every trial is a fresh deployment, and its teardown is verified."),
        format!("Load: response time counts from the scheduled time of a request, so in an open loop a stall of the service or of the load generator counts in full (no coordinated omission). Percentiles are of successful requests.{wait}"),
        "Latency percentiles are read from histograms in ns with three significant digits; histograms are added over trials, percentiles never averaged.".to_owned(),
        format!("CPU (% of one core) and resident memory: raw counters of every process of the services, sampled every {} ms, restricted to the measurement window.", e.sampling_interval_ms),
        "Start-up: from the driver's call to the first correct reply; image preparation is excluded.".to_owned(),
        format!(
            "Tables show the median over trials with its order-statistic confidence interval; ratios are of medians, with a bootstrap confidence interval \
             ({RESAMPLES} resamples); p-values are from two-sided Mann-Whitney tests, Holm-corrected over all {} tests of this report; effect size: Cliff's delta.",
            analysis.comparisons.len()
        ),
        "Every attempt is audited (request counts, Little's law, load generator lag, bodies, samples, steal, leftovers). Invalid attempts are kept, excluded, and tried again; the first valid attempt of a trial counts.".to_owned(),
        "This report is a function of the raw data: controller report verifies their SHA-256 checksums and regenerates it. Formulas: docs/metrics.md.".to_owned(),
    ];
    lines.extend(programs(data));
    lines
}

/// What is known of the programs of others that generated loads, and which rules of the audit do not apply to them: a line for each load.
fn programs(data: &RunData) -> Vec<String> {
    let experiment = &data.manifest.experiment;
    let line = |load: &LoadRecord| {
        let mut trials = data.trials.iter().map(|trial| &trial.record);
        let record = trials.find(|record| record.key.trial.cell.load == load.name && record.external.is_some())?;
        let external = record.external.as_ref()?;
        let version = external
            .version
            .as_ref()
            .map_or_else(String::new, |version| format!(" ({version})"));
        let rules: Vec<_> = audit::not_applicable(record).into_iter().map(Rule::title).collect();
        Some(format!(
            "Load {} is generated by {}{version}, whose own figures are marked with its name. It does not report {}, so these rules of the audit do not apply: {}.",
            load.name,
            external.program,
            external.absent.join(", "),
            rules.join(", ")
        ))
    };
    experiment.loads.iter().filter_map(line).collect()
}

/// One line per cell, over all its trials; none unless the load is a packet stream.
pub(super) fn packet_lines(data: &RunData, cells: &[&CellResult]) -> Vec<String> {
    cells
        .iter()
        .filter_map(|cell| {
            let trials: Vec<_> = data
                .of(&cell.cell)
                .filter_map(|trial| trial.record.udp.as_ref())
                .collect();
            (!trials.is_empty()).then(|| format!("{}: {}", cell.cell.platform, packet_sentence(&trials)))
        })
        .collect()
}

fn packet_sentence(trials: &[&UdpStats]) -> String {
    let sum = |of: fn(&StreamStats) -> u64| trials.iter().map(|udp| of(&udp.stream)).sum::<u64>();
    let mut text = format!(
        "{} packets sent, {} lost ({}), {} replies after the timeout; {} duplicates, {} reordered (by at most {} packets).",
        count(sum(|stream| stream.sent)),
        count(sum(|stream| stream.lost)),
        loss_locations(trials),
        count(sum(|stream| stream.late)),
        count(sum(|stream| stream.duplicates)),
        count(sum(|stream| stream.reordered)),
        trials.iter().map(|udp| udp.stream.furthest_behind).max().unwrap_or(0),
    );
    let searches: Vec<_> = trials.iter().filter_map(|udp| udp.search.as_ref()).collect();
    let of = |limit| searches.iter().filter(|search| search.limit == limit).count();
    if !searches.is_empty() {
        text += &format!(
            " The highest loss-free rate was limited by packet loss in {} of {} trials, by the load generator in {}, by the duration of the search in {}.",
            of(SearchLimit::Loss),
            searches.len(),
            of(SearchLimit::Generator),
            of(SearchLimit::Time),
        );
    }
    text
}

/// Where packets were lost, if both ends report their counters. Packets duplicated by the network lower the count of their direction, even below zero.
fn loss_locations(trials: &[&UdpStats]) -> String {
    let there: Option<i64> = trials.iter().map(|udp| udp.lost_outbound()).sum();
    let back: Option<i64> = trials.iter().map(|udp| udp.lost_inbound()).sum();
    let service: Option<u64> = trials.iter().map(|udp| udp.service?.dropped).sum();
    let unsent: Option<u64> = trials.iter().map(|udp| Some(udp.service?.unsent)).sum();
    let own: Option<u64> = trials.iter().map(|udp| udp.stream.dropped).sum();
    match (there, back, service, unsent, own) {
        (Some(there), Some(back), Some(service), Some(unsent), Some(own)) => format!(
            "{there} on the way to the service, {} at the service's sockets, {} as unsent replies, {back} on the way back, {} at the load generator's sockets",
            count(service),
            count(unsent),
            count(own)
        ),
        _ => "location unknown: the service or a kernel does not report its counters".to_owned(),
    }
}
