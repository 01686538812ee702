//! Every counter of everything that was sampled: what counts as its growth a second, what is a state as its mean over the window.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Name;
use protocol::sample::{Counter, CounterKind, Sample, Subject};
use serde::{Deserialize, Serialize};

use super::Book;
use crate::stats::family::Family;
use crate::stats::recording::Track;

/// The counters of one thing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// What kind of thing: `cgroup`, `processes`, `threads`, `platform`, `runner`, `rest`, `host`, `link`, `engine`, `energy`.
    pub of: String,
    /// The service that it belongs to, if it is one's.
    pub service: Option<Name>,
    /// What tells it from others of its kind: a role, a part, an interface, a domain; empty: nothing need.
    pub name: String,
    /// How much each counter grew a second.
    pub per_second: BTreeMap<String, f64>,
    /// The mean of each state.
    pub mean: BTreeMap<String, f64>,
}

/// What tells views apart.
type Key = (&'static str, Option<Name>, String);

fn key(subject: &Subject) -> Key {
    let service = subject.service().cloned();
    let (of, name) = match subject {
        Subject::Cgroup(_) => ("cgroup", String::new()),
        Subject::Process(_) => ("processes", String::new()),
        Subject::Threads(of) => ("threads", of.role.as_str().to_owned()),
        Subject::Platform(of) => ("platform", of.part.to_string()),
        Subject::Runner(_) => ("runner", String::new()),
        Subject::OtherProcesses(of) => ("rest", of.kind.as_str().to_owned()),
        Subject::Host(_) => ("host", String::new()),
        Subject::Link(of) => ("link", of.interface.clone()),
        Subject::Engine(_) => ("engine", String::new()),
        Subject::Guest(_) => ("guest", String::new()),
        Subject::GuestThread(of) => ("guest-thread", of.name.clone()),
        Subject::Energy(of) => ("energy", of.domain.clone()),
    };
    (of, service, name)
}

pub(super) fn views(book: &Book<'_>) -> Vec<View> {
    let keys: BTreeSet<Key> = book.recording.subjects().map(|(subject, _)| key(subject)).collect();
    keys.into_iter().map(|key| view(book, key)).collect()
}

fn view(book: &Book<'_>, wanted: Key) -> View {
    let own: Vec<&[&Sample]> = book
        .recording
        .subjects()
        .filter(|(subject, _)| key(subject) == wanted)
        .map(|(_, samples)| samples)
        .collect();
    let family = Family::of(own.iter().copied(), &book.frame.cut);
    let has: BTreeSet<Counter> = own
        .iter()
        .flat_map(|samples| {
            samples
                .iter()
                .flat_map(|sample| sample.counters.iter().map(|figure| figure.0))
        })
        .collect();
    let (mut per_second, mut mean) = (BTreeMap::new(), BTreeMap::new());
    // Only processes come and go: everything else has counted since before it was first seen.
    let comes_and_goes = matches!(wanted.0, "processes" | "platform") && book.watched();
    for counter in has {
        let name = counter.name().to_owned();
        match counter.kind() {
            CounterKind::Cumulative if counter == Counter::EnergyUj => {
                per_second.insert(
                    name,
                    own.iter().map(|samples| energy(samples, book)).sum::<f64>() / book.length_ns * 1e9,
                );
            }
            CounterKind::Cumulative => {
                let grown = family
                    .growth(counter, book.from(), book.to(), comes_and_goes)
                    .unwrap_or(0.0);
                per_second.insert(name, grown / book.length_ns * 1e9);
            }
            CounterKind::Gauge => {
                mean.extend(family.mean(counter, book.from(), book.to()).map(|value| (name, value)));
            }
        }
    }
    let (of, service, name) = wanted;
    View {
        of: of.to_owned(),
        service,
        name,
        per_second,
        mean,
    }
}

/// The growth of an energy counter, uJ: where it begins anew, its range is added.
fn energy(samples: &[&Sample], book: &Book<'_>) -> f64 {
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
    Track::new(points.collect()).growth(book.from(), book.to(), false)
}
