//! Comparison of results: the median of every metric of every cell, and whether the runs differ significantly.

use serde::Serialize;

use crate::report::{Figure, RunFigures};
use crate::stats::{Interval, bootstrap, hypothesis};

/// The significance level of a corrected p-value.
pub const LEVEL: f64 = 0.05;

/// A metric of a cell in both runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The cell, `platform.workload.load`.
    pub cell: String,
    /// The metric's key in JSON, e.g. `response_p50`.
    pub metric: String,
    /// Its unit.
    pub unit: String,
    /// The first run; `None`: it has no trial of the cell.
    pub one: Option<Side>,
    /// The second run.
    pub other: Option<Side>,
    /// The second median divided by the first.
    pub ratio: Option<f64>,
    /// Bootstrap confidence interval of the ratio, 95 %; from six trials each.
    pub ratio_interval: Option<Interval>,
    /// Mann-Whitney p-value, Holm-corrected over all changes.
    pub p: Option<f64>,
    /// Cliff's delta: positive if the second run's values are higher.
    pub delta: Option<f64>,
}

/// A metric of a cell in one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// The number of trials.
    pub n: usize,
    /// Median.
    pub median: f64,
    /// Order-statistic confidence interval of the median; from six trials.
    pub interval: Option<Interval>,
}

impl Change {
    /// Whether the runs differ significantly.
    #[must_use]
    pub fn is_significant(&self) -> bool {
        self.p.is_some_and(|p| p < LEVEL)
    }
}

/// Every metric of either run, in the order of the first.
#[must_use]
pub fn changes(a: &RunFigures, b: &RunFigures) -> Vec<Change> {
    let seed = a.manifest.experiment.seed;
    let same = |one: &Figure, other: &Figure| one.cell == other.cell && one.metric == other.metric;
    let mut found: Vec<Option<Change>> = a
        .figures
        .iter()
        .map(|one| change(Some(one), b.figures.iter().find(|other| same(one, other)), seed))
        .collect();
    let new = b
        .figures
        .iter()
        .filter(|other| !a.figures.iter().any(|one| same(one, other)));
    found.extend(new.map(|other| change(None, Some(other), seed)));
    corrected(found.into_iter().flatten().collect())
}

fn change(one: Option<&Figure>, other: Option<&Figure>, seed: u64) -> Option<Change> {
    let (one, other) = (
        one.filter(|f| !f.values.is_empty()),
        other.filter(|f| !f.values.is_empty()),
    );
    let of = one.or(other)?;
    let both = one.zip(other);
    let ratio = both.and_then(|(one, other)| Some(other.median? / one.median?));
    Some(Change {
        cell: of.cell.to_string(),
        metric: of.metric.key().into_owned(),
        unit: of.metric.unit().to_owned(),
        one: one.and_then(side),
        other: other.and_then(side),
        ratio: ratio.filter(|ratio| ratio.is_finite()),
        ratio_interval: both.and_then(|(one, other)| bootstrap::ratio_interval(&other.values, &one.values, seed)),
        p: both.and_then(|(one, other)| hypothesis::mann_whitney(&other.values, &one.values)),
        delta: both.and_then(|(one, other)| hypothesis::cliffs_delta(&other.values, &one.values)),
    })
}

fn side(figure: &Figure) -> Option<Side> {
    Some(Side {
        n: figure.values.len(),
        median: figure.median?,
        interval: figure.interval,
    })
}

fn corrected(mut changes: Vec<Change>) -> Vec<Change> {
    let raw: Vec<f64> = changes.iter().filter_map(|change| change.p).collect();
    let tested = changes.iter_mut().filter_map(|change| change.p.as_mut());
    for (p, corrected) in tested.zip(hypothesis::holm(&raw)) {
        *p = corrected;
    }
    changes
}
