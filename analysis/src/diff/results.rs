//! What came out of two runs: the median of every figure of every cell, and whether they differ by more than chance.

use serde::Serialize;

use super::LEVEL;
use crate::report::{Figure, RunFigures};
use crate::stats::{Interval, bootstrap, holm, rank};

/// A figure of a cell in both runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The cell, `platform.workload.load`.
    pub cell: String,
    /// The figure's key in JSON, e.g. `response_p50`.
    pub metric: String,
    /// Its unit.
    pub unit: String,
    /// In the first run; `None`: it has no such cell or no trial of it.
    pub one: Option<Side>,
    /// In the second.
    pub other: Option<Side>,
    /// The second's median over the first's.
    pub ratio: Option<f64>,
    /// Its bootstrap interval, 95 %; from six trials each on.
    pub ratio_interval: Option<Interval>,
    /// Mann-Whitney's p-value, corrected by Holm over all changes.
    pub p: Option<f64>,
    /// Cliff's delta: positive where the second's values are higher.
    pub delta: Option<f64>,
}

/// A figure of a cell in one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// How many trials.
    pub n: usize,
    /// Their median.
    pub median: f64,
    /// Its order-statistic interval; from six trials on.
    pub interval: Option<Interval>,
}

impl Change {
    /// Whether the two differ by more than chance.
    #[must_use]
    pub fn is_significant(&self) -> bool {
        self.p.is_some_and(|p| p < LEVEL)
    }
}

/// Every figure that either run has, in the order of the first.
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
        metric: of.metric.key().to_owned(),
        unit: of.metric.unit().to_owned(),
        one: one.and_then(side),
        other: other.and_then(side),
        ratio: ratio.filter(|ratio| ratio.is_finite()),
        ratio_interval: both.and_then(|(one, other)| bootstrap::ratio_interval(&other.values, &one.values, seed)),
        p: both.and_then(|(one, other)| rank::mann_whitney(&other.values, &one.values)),
        delta: both.and_then(|(one, other)| rank::cliffs_delta(&other.values, &one.values)),
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
    for (p, corrected) in tested.zip(holm::correct(&raw)) {
        *p = corrected;
    }
    changes
}
