//! What each kind of request took, where a load has several.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use loader::latency::Distribution;
use loader::{Histograms, Label, Request};

/// The requests of one label in the window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelRecord {
    /// Its name among the calls of the load.
    pub name: String,
    /// How many there were.
    pub total: u64,
    /// How many of those failed.
    pub failed: u64,
    /// From when they were due to their end; requests that were answered as expected.
    pub response: Distribution,
}

/// Gathers the requests of each label.
#[derive(Debug)]
pub struct LabelTallies(Vec<LabelTally>);

#[derive(Debug)]
struct LabelTally {
    name: String,
    total: u64,
    failed: u64,
    response: Histogram<u64>,
}

impl LabelTallies {
    /// For these labels; for none if there is only one, which the figures of the whole describe.
    #[must_use]
    pub fn new(labels: &[Label]) -> Self {
        let several = labels.iter().filter(|_| labels.len() > 1);
        let empty = Histograms::new().response;
        let tally = |label: &Label| LabelTally {
            name: label.name.clone(),
            total: 0,
            failed: 0,
            response: empty.clone(),
        };
        Self(several.map(tally).collect())
    }

    /// Counts a request.
    pub fn add(&mut self, request: &Request) {
        let Some(tally) = self.0.get_mut(usize::from(request.label)).filter(|_| !request.warm_up) else {
            return;
        };
        tally.total += 1;
        if request.error.is_some() {
            tally.failed += 1;
        } else {
            tally.response.saturating_record(request.response_ns());
        }
    }

    /// What was gathered, in the order of the labels.
    #[must_use]
    pub fn records(self) -> Vec<LabelRecord> {
        let record = |tally: LabelTally| LabelRecord {
            name: tally.name,
            total: tally.total,
            failed: tally.failed,
            response: Distribution::of(&tally.response),
        };
        self.0.into_iter().map(record).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::jtl_reader::tests::request;
    use super::*;
    use loader::ErrorKind;

    #[test]
    fn each_label_has_its_own_figures() {
        let label = |name: &str| Label {
            name: name.into(),
            url: String::new(),
        };
        let mut tallies = LabelTallies::new(&[label("a"), label("b")]);
        let b = Request {
            label: 1,
            error: Some(ErrorKind::Timeout),
            ..request(5)
        };
        [request(0), b, Request { warm_up: true, ..b }]
            .iter()
            .for_each(|r| tallies.add(r));
        let records = tallies.records();
        assert_eq!(
            (records[0].total, records[0].failed, records[0].response.count),
            (1, 0, 1)
        );
        assert_eq!(
            (records[1].total, records[1].failed, records[1].response.count),
            (1, 1, 0)
        );
        assert!(LabelTallies::new(&[label("")]).records().is_empty());
    }
}
