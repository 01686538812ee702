//! The figures of a load, next to those of the thesis.

use std::fmt::Write as _;
use std::io;

use analysis::store::ReadbackRecord;
use hdrhistogram::Histogram;
use loader::{Counts, Histograms, Outcome};

/// Table 5 of the thesis: platform, failed, min, mean and max in ms, requests per second.
const TABLE_5: [(&str, u32, f64, f64, f64, f64); 2] = [
    ("thesis, OSv", 957, 7.0, 391.67, 29_522.0, 56.95),
    ("thesis, Docker", 802, 9.0, 366.65, 4583.0, 67.95),
];

/// Response times and failures per kind of request, then of all requests, then table 5 of the thesis.
///
/// # Errors
/// Those of the file that holds the requests.
pub fn tables(outcome: &Outcome) -> io::Result<String> {
    let mut kinds: Vec<(Histograms, u64)> = vec![Default::default(); outcome.labels.len()];
    for request in outcome.requests.read()? {
        let request = request?;
        let (times, failed) = &mut kinds[usize::from(request.label)];
        times.record(&request);
        *failed += u64::from(request.error.is_some());
    }
    let mut text = format!(
        "{:<16}{:>8}{:>8}{:>12}{:>14}{:>14}{:>14}{:>12}{:>11}\n",
        "request", "requests", "failed", "min ms", "mean ms", "p50 ms", "p99 ms", "max ms", "per second"
    );
    for (label, (times, failed)) in outcome.labels.iter().zip(&kinds) {
        text.push_str(&row(&label.name, &times.response_all, *failed, ""));
    }
    let throughput = format!("{:.1}", outcome.throughput_per_s());
    let all = &outcome.histograms.response_all;
    text.push_str(&row("all", all, outcome.counts.failed(), &throughput));
    for (platform, failed, min, mean, max, throughput) in TABLE_5 {
        let _ = writeln!(
            text,
            "{platform:<16}{:>8}{failed:>8}{min:>12}{mean:>14}{:>14}{:>14}{max:>12}{throughput:>11}",
            "", "", ""
        );
    }
    text.push_str("(thesis: table 5; failed of 450,000 requests each)\n");
    text.push_str(&errors(&outcome.counts));
    Ok(text)
}

fn row(name: &str, times: &Histogram<u64>, failed: u64, throughput: &str) -> String {
    let ms = |ns: u64| ns as f64 / 1e6;
    format!(
        "{name:<16}{:>8}{failed:>8}{:>12.2}{:>14.2}{:>14.2}{:>14.2}{:>12.2}{throughput:>11}\n",
        times.len(),
        ms(times.min()),
        times.mean() / 1e6,
        ms(times.value_at_quantile(0.5)),
        ms(times.value_at_quantile(0.99)),
        ms(times.max()),
    )
}

/// The kinds of errors, one per line; empty without failures.
fn errors(counts: &Counts) -> String {
    counts
        .errors()
        .map(|(kind, count)| format!("  {count} {}\n", kind.name()))
        .collect()
}

/// The device gateway's record compared with the accepted commands, as text.
pub fn verdict(truth: &ReadbackRecord) -> String {
    let mut text = format!("record: {}\n", if truth.is_clean() { "valid" } else { "INVALID" });
    for check in &truth.checks {
        let _ = write!(
            text,
            "  {}: {} checked, {} failed",
            check.what, check.checked, check.wrong
        );
        if let Some(slowest) = check.slowest_ns {
            let _ = write!(text, ", slowest {:.3} s", slowest as f64 / 1e9);
        }
        text.push('\n');
    }
    if let Some(problem) = &truth.problem {
        let _ = writeln!(text, "  {problem}");
    }
    text
}
