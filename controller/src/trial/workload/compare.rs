//! What the device gateway of Fraga's IoT benchmark recorded, held against what was accepted.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use loader::jung::names;
use loader::jung::reply::Commanded;
use serde::Deserialize;
use uuid::Uuid;

/// How long after the first violating reading the opposite command has to be there.
pub const RULE_DEADLINE: Duration = Duration::from_secs(2);

/// What was read back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Truth {
    /// Commands that were accepted.
    pub accepted: usize,
    /// Those of them that did not reach their device.
    pub lost: usize,
    /// Readings that violated a rule for the first time.
    pub violations: usize,
    /// Those of them that no rule's command followed in time.
    pub unanswered: usize,
    /// Those of them that none followed at all.
    pub never: usize,
    /// The longest time from a violating reading to the opposite command.
    pub slowest_rule: Duration,
    /// Devices.
    pub devices: usize,
    /// Those whose readings did not grow by one a second.
    pub irregular: usize,
}

/// Compares what was accepted with what the devices did.
#[must_use]
pub fn compare(accepted: &[Commanded], entries: &[Entry], devices: &[Seen]) -> Truth {
    let reached: HashSet<_> = entries
        .iter()
        .map(|entry| (entry.command, entry.device.as_str()))
        .collect();
    let lost = accepted
        .iter()
        .filter(|it| !reached.contains(&(it.command, it.device.as_str())))
        .count();
    let delays = rule_delays(entries);
    let deadline = u64::try_from(RULE_DEADLINE.as_nanos()).unwrap_or(u64::MAX);
    Truth {
        accepted: accepted.len(),
        lost,
        violations: delays.len(),
        unanswered: delays
            .iter()
            .filter(|delay| delay.is_none_or(|delay| delay > deadline))
            .count(),
        never: delays.iter().filter(|delay| delay.is_none()).count(),
        slowest_rule: Duration::from_nanos(delays.iter().flatten().max().copied().unwrap_or(0)),
        devices: devices.len(),
        irregular: devices.iter().filter(|seen| !grows_by_one_a_second(seen)).count(),
    }
}

/// For every reading that first showed a state the rules do not want: the time until a rule's command came, ns.
fn rule_delays(entries: &[Entry]) -> Vec<Option<u64>> {
    let mut by_device: HashMap<&str, Vec<&Entry>> = HashMap::new();
    for entry in entries {
        by_device.entry(entry.device.as_str()).or_default().push(entry);
    }
    let mut delays = Vec::new();
    for entries in by_device.values() {
        for (place, entry) in entries.iter().enumerate() {
            let Some(read_at) = entry.read_at_ns.filter(|_| is_unwanted(entry.after)) else {
                continue;
            };
            let later = entries[place..].iter();
            let opposite = later
                .filter(|it| it.origin == Origin::Rule && it.at_ns >= read_at)
                .map(|it| it.at_ns)
                .min();
            delays.push(opposite.map(|at| at - read_at));
        }
    }
    delays
}

fn is_unwanted(value: f64) -> bool {
    value != names::WANTED
}

/// One reading a second, give or take the ones at either end and a gateway that is late by less than a second.
fn grows_by_one_a_second(seen: &Seen) -> bool {
    let seconds = seen.attached_ns / 1_000_000_000;
    seen.readings.abs_diff(seconds) <= 2
}

/// Who wanted a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A user.
    User,
    /// A rule.
    Rule,
}

/// A command that reached its device.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its number in the book, from 0.
    pub number: u64,
    /// The command's identity.
    pub command: Uuid,
    /// The device.
    pub device: String,
    /// Who wanted it.
    pub origin: Origin,
    /// The state of the device before.
    pub before: f64,
    /// The state that it took.
    pub after: f64,
    /// When, ns since the gateway came up.
    pub at_ns: u64,
    /// When the device first sent this state in a reading, ns since the gateway came up; `None`: not before the next
    /// command changed it.
    pub read_at_ns: Option<u64>,
}

/// A device as others see it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// Its name.
    pub device: String,
    /// Its state.
    pub value: f64,
    /// Readings that it has sent.
    pub readings: u64,
    /// Commands that it has obeyed.
    pub commands: u64,
    /// How long it is attached, ns.
    pub attached_ns: u64,
}

/// The reply to `GET /devices`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Devices {
    /// The gateway's clock, ns since it came up.
    pub now_ns: u64,
    /// All devices by name.
    pub devices: Vec<Seen>,
}

/// The reply to `GET /commands`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commands {
    /// The gateway's clock, ns since it came up.
    pub now_ns: u64,
    /// Commands that fell out of the book.
    pub dropped: u64,
    /// The commands, in the order they came; ask again from the number after the last until none comes.
    pub commands: Vec<Entry>,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn device(name: &str) -> String {
        name.to_owned()
    }

    fn entry(number: u64, origin: Origin, after: f64, at_s: u64, read_s: Option<u64>) -> Entry {
        let ns = |seconds: u64| seconds * 1_000_000_000;
        Entry {
            number,
            command: Uuid::from_u128(u128::from(number)),
            device: device("d"),
            origin,
            before: 0.0,
            after,
            at_ns: ns(at_s),
            read_at_ns: read_s.map(ns),
        }
    }

    fn accepted(number: u128, name: &str) -> Commanded {
        Commanded {
            command: Uuid::from_u128(number),
            device: name.to_owned(),
        }
    }

    #[test]
    fn a_rule_in_time_and_readings_once_a_second_hold() {
        let entries = [
            entry(0, Origin::User, 25.0, 1, None), // overtaken before any reading showed it
            entry(1, Origin::User, 30.0, 1, Some(2)),
            entry(2, Origin::Rule, names::WANTED, 3, Some(3)),
        ];
        let seen = Seen {
            device: device("d"),
            value: 20.0,
            readings: 9,
            commands: 3,
            attached_ns: 10_000_000_000,
        };
        let truth = compare(&[accepted(0, "d"), accepted(1, "d")], &entries, &[seen]);
        assert_eq!((truth.lost, truth.unanswered, truth.irregular), (0, 0, 0), "{truth:?}");
        assert_eq!((truth.violations, truth.slowest_rule), (1, Duration::from_secs(1)));
    }

    #[test]
    fn what_is_lost_late_or_irregular_does_not_hold() {
        let late = [
            entry(1, Origin::User, 30.0, 1, Some(2)),
            entry(2, Origin::Rule, names::WANTED, 5, None),
        ];
        let truth = compare(&[], &late, &[]);
        assert_eq!((truth.unanswered, truth.never), (1, 0));
        let truth = compare(&[], &late[..1], &[]);
        assert_eq!((truth.unanswered, truth.never), (1, 1), "no rule fired at all");
        assert_eq!(compare(&[accepted(9, "d")], &late, &[]).lost, 1);
        assert_eq!(
            compare(&[accepted(1, "other")], &late, &[]).lost,
            1,
            "it reached another device"
        );
        let seen = Seen {
            device: device("d"),
            value: 20.0,
            readings: 5,
            commands: 0,
            attached_ns: 10_000_000_000,
        };
        assert_eq!(compare(&[], &[], &[seen]).irregular, 1);
    }
}
