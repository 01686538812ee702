//! Loads of several loaders.

use super::valid::valid_record;
use crate::audit::audit;
use crate::store::Validity;
use crate::store::{Distribution, GeneratorRecord, LoaderRecord, RequestCounts};

/// A loader without any problem.
fn loader(host: &str) -> LoaderRecord {
    LoaderRecord {
        host: host.parse().unwrap(),
        requests: RequestCounts::default(),
        response: Distribution::default(),
        lag: Distribution::default(),
        generator: GeneratorRecord::default(),
        skew_ns: 0,
        clock_error_ns: 0,
        exchanges: 32,
    }
}

#[test]
fn every_loader_is_audited() {
    let mut record = valid_record();
    record.loaders = vec![loader("a"), loader("b")];
    assert_eq!(audit(&record).validity, Validity::Valid);
    let with = |change: fn(&mut LoaderRecord)| {
        let mut changed = record.clone();
        change(&mut changed.loaders[1]);
        let verdict = audit(&changed);
        assert_eq!(verdict.reasons.len(), 1, "{verdict:?}");
        assert!(verdict.reasons[0].text.contains("loader b"), "{verdict:?}");
        verdict.validity
    };
    assert_eq!(with(|loader| loader.lag.p99_ns = 11_000_000), Validity::Invalid);
    assert_eq!(with(|loader| loader.lag.p99_ns = 600_000), Validity::Suspect);
    assert_eq!(with(|loader| loader.generator.run_queue_share = 0.2), Validity::Suspect);
    assert_eq!(with(|loader| loader.skew_ns = -60_000_000_000), Validity::Suspect);
    assert_eq!(with(|loader| loader.clock_error_ns = 60_000_000_000), Validity::Suspect);
}
