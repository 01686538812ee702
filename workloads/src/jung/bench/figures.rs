//! The figures of a load, next to those of the thesis.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::dataset::Endpoint;
use super::drive::Outcome;
use super::truth::Truth;

/// Response times, sorted.
#[derive(Debug, Default)]
struct Times(Vec<Duration>);

impl Times {
    /// The smallest time that this share of all does not exceed (nearest rank).
    fn quantile(&self, share: f64) -> Duration {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of a length is a place in it"
        )]
        let place = (share * self.0.len() as f64).ceil() as usize;
        self.0
            .get(place.saturating_sub(1))
            .or(self.0.last())
            .copied()
            .unwrap_or_default()
    }

    fn mean(&self) -> Duration {
        let count = u32::try_from(self.0.len()).unwrap_or(u32::MAX).max(1);
        self.0.iter().sum::<Duration>() / count
    }
}

/// The tables of a load as text: each sort of request, then all against the thesis' table 5.
#[must_use]
pub fn tables(outcome: &Outcome) -> String {
    let mut by_endpoint: BTreeMap<Endpoint, (Times, usize)> = BTreeMap::new();
    let (mut all, mut failed) = (Times::default(), 0);
    for sent in &outcome.sent {
        let (times, failures) = by_endpoint.entry(sent.endpoint).or_default();
        times.0.push(sent.took);
        all.0.push(sent.took);
        if sent.failure.is_some() {
            *failures += 1;
            failed += 1;
        }
    }
    let mut text = format!("{}\n", heading("request"));
    for (endpoint, (times, failures)) in &mut by_endpoint {
        times.0.sort_unstable();
        let _ = writeln!(text, "{}", line(endpoint.label(), times, *failures, None));
    }
    all.0.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^52")]
    let throughput = all.0.len() as f64 / outcome.took.as_secs_f64().max(f64::EPSILON);
    let _ = writeln!(text, "{}", line("all", &all, failed, Some(throughput)));
    for (platform, failed, min, mean, max, throughput) in TABLE_5 {
        let _ = writeln!(
            text,
            "{platform:<16}{:>8}{failed:>8}{min:>12}{mean:>14}{:>14}{:>14}{max:>12}{throughput:>11}",
            "", "", ""
        );
    }
    text.push_str("(thesis: table 5; failed of 450,000 requests each)\n");
    text
}

/// Table 5 of the thesis: platform, failed, min, mean and max in ms, requests a second.
const TABLE_5: [(&str, u32, f64, f64, f64, f64); 2] = [
    ("thesis, OSv", 957, 7.0, 391.67, 29_522.0, 56.95),
    ("thesis, Docker", 802, 9.0, 366.65, 4583.0, 67.95),
];

fn heading(first: &str) -> String {
    format!(
        "{first:<16}{:>8}{:>8}{:>12}{:>14}{:>14}{:>14}{:>12}{:>11}",
        "requests", "failed", "min ms", "mean ms", "p50 ms", "p99 ms", "max ms", "per second"
    )
}

fn line(label: &str, times: &Times, failed: usize, throughput: Option<f64>) -> String {
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let throughput = throughput.map(|it| format!("{it:.1}")).unwrap_or_default();
    format!(
        "{label:<16}{:>8}{failed:>8}{:>12.2}{:>14.2}{:>14.2}{:>14.2}{:>12.2}{throughput:>11}",
        times.0.len(),
        ms(times.quantile(0.0)),
        ms(times.mean()),
        ms(times.quantile(0.5)),
        ms(times.quantile(0.99)),
        ms(times.quantile(1.0)),
    )
}

/// What the check of the truth found, as text.
#[must_use]
pub fn verdict(truth: &Truth) -> String {
    format!(
        "truth: {}\n  commands accepted {}, lost {}\n  violating readings {}, without the opposite command within {} s {}, slowest {:.3} s\n  devices {}, whose readings did not grow by one a second {}",
        if truth.holds() { "holds" } else { "DOES NOT HOLD" },
        truth.accepted,
        truth.lost,
        truth.violations,
        super::truth::RULE_DEADLINE.as_secs(),
        truth.unanswered,
        truth.slowest_rule.as_secs_f64(),
        truth.devices,
        truth.irregular,
    )
}

/// The first few things that went wrong, one a line.
#[must_use]
pub fn failures(outcome: &Outcome, most: usize) -> String {
    let failures = outcome.sent.iter().filter_map(|sent| sent.failure.as_deref());
    failures.take(most).map(|failure| format!("  {failure}\n")).collect()
}
