//! Every counter of every subject: the growth per second of cumulative counters, the mean of gauges.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Name;
use protocol::sample::{Counter, CounterKind, Sample, Subject};
use serde::{Deserialize, Serialize};

use super::builder::Builder;
use crate::stats::process_group::ProcessGroup;
use crate::stats::recording::{TimeSeries, kind_and_name};

/// The counters of one subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectCounters {
    /// The kind of subject: `cgroup`, `processes`, `threads`, `platform`, `runner`, `rest`, `host`, `link`, `engine`, `energy`.
    pub of: String,
    /// The service that it belongs to, if any.
    pub service: Option<Name>,
    /// Distinguishes subjects of a kind: a role, a part, an interface, a domain; may be empty.
    pub name: String,
    /// Growth per second of each cumulative counter.
    pub per_second: BTreeMap<String, f64>,
    /// Mean of each gauge.
    pub mean: BTreeMap<String, f64>,
}

/// Identifies a subject, or the processes of a service.
type Key = (&'static str, Option<Name>, String);

fn key(subject: &Subject) -> Key {
    let (kind, name) = kind_and_name(subject);
    let of = if kind == "process" { "processes" } else { kind };
    (of, subject.service().cloned(), name)
}

pub(super) fn all(builder: &Builder<'_>) -> Vec<SubjectCounters> {
    let keys: BTreeSet<Key> = builder.recording.subjects().map(|(subject, _)| key(subject)).collect();
    keys.into_iter().map(|key| subject_counters(builder, key)).collect()
}

fn subject_counters(builder: &Builder<'_>, wanted: Key) -> SubjectCounters {
    let own: Vec<&[&Sample]> = builder
        .recording
        .subjects()
        .filter(|(subject, _)| key(subject) == wanted)
        .map(|(_, samples)| samples)
        .collect();
    let processes = ProcessGroup::of(own.iter().copied(), &builder.scope.window);
    let counters: BTreeSet<Counter> = own
        .iter()
        .flat_map(|samples| {
            samples
                .iter()
                .flat_map(|sample| sample.counters.iter().map(|figure| figure.0))
        })
        .collect();
    let (mut per_second, mut mean) = (BTreeMap::new(), BTreeMap::new());
    // Only processes start and end; all other counters started before they were first read.
    let may_be_new = matches!(wanted.0, "processes" | "platform") && builder.was_sampling();
    for counter in counters {
        let name = counter.name().to_owned();
        match counter.kind() {
            CounterKind::Cumulative if counter == Counter::EnergyUj => {
                per_second.insert(
                    name,
                    own.iter().map(|samples| energy(samples, builder)).sum::<f64>() / builder.length_ns * 1e9,
                );
            }
            CounterKind::Cumulative => {
                let grown = processes
                    .growth(counter, builder.from(), builder.to(), may_be_new)
                    .unwrap_or(0.0);
                per_second.insert(name, grown / builder.length_ns * 1e9);
            }
            CounterKind::Gauge => {
                mean.extend(
                    processes
                        .mean(counter, builder.from(), builder.to())
                        .map(|value| (name, value)),
                );
            }
        }
    }
    let (of, service, name) = wanted;
    SubjectCounters {
        of: of.to_owned(),
        service,
        name,
        per_second,
        mean,
    }
}

/// The growth of an energy counter, uJ; its range is added at every wrap-around.
fn energy(samples: &[&Sample], builder: &Builder<'_>) -> f64 {
    let (mut lost, mut last) = (0.0, 0.0);
    let points = samples.iter().filter_map(|sample| {
        let value = sample.counters.get(Counter::EnergyUj)? as f64;
        let range = sample.counters.get(Counter::EnergyRangeUj).unwrap_or(0) as f64;
        if value < last {
            lost += range;
        }
        last = value;
        Some((sample.offset_ns, value + lost))
    });
    TimeSeries::new(points.collect()).growth(builder.from(), builder.to(), false)
}
