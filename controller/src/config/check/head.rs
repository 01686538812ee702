//! `[experiment]`.

use std::path::PathBuf;

use protocol::ids::Name;

use super::at::At;
use super::{platform, value};
use crate::config::Order;
use crate::config::problem::{Fault, Problem, did_you_mean};
use crate::config::raw::RawExperiment;

/// The most blocks: at a minute a trial that is a week for one cell.
const MAX_ITERATIONS: i64 = 10_000;

/// `[experiment]`, checked.
pub(super) struct Head {
    pub(super) name: Name,
    pub(super) iterations: u32,
    pub(super) seed: u64,
    pub(super) order: Order,
    pub(super) max_attempts: u32,
    pub(super) baseline: Name,
    pub(super) results: PathBuf,
    pub(super) controller: Name,
    pub(super) host: Name,
}

/// Checks `[experiment]`; `None` has left a problem.
pub(super) fn check(raw: &RawExperiment, problems: &mut Vec<Problem>) -> Option<Head> {
    let orders = [("randomized-blocks", Order::RandomizedBlocks), ("batch", Order::Batch)];
    let baseline = baseline(raw, problems);
    let head = &raw.head;
    let mut at = At::new(&head.section, problems);
    let name = at.required(&head.name, "name = \"first-look\"", value::name);
    let iterations = at.or(
        &head.iterations,
        30,
        value::whole("the number of iterations", 1..=MAX_ITERATIONS, 30),
    );
    let seed = at.or(&head.seed, 1, value::whole("a seed", 0..=i64::MAX, 1));
    let order = at.or(&head.order, Order::RandomizedBlocks, value::choice(&orders));
    let max_attempts = at.or(
        &head.max_attempts,
        3,
        value::whole("the number of attempts", 1..=100, 3),
    );
    let results = at.or(&head.results, PathBuf::from("results"), value::path);
    let controller = at.or(&head.controller, this_machine(), value::name);
    let host = at.or(&head.host, this_machine(), value::name);
    Some(Head {
        name: name?,
        iterations: iterations?,
        seed: seed?,
        order: order?,
        max_attempts: max_attempts?,
        baseline: baseline?,
        results: results?,
        controller: controller?,
        host: host?,
    })
}

/// The platform that ratios are taken to: the first if none is said.
fn baseline(raw: &RawExperiment, problems: &mut Vec<Problem>) -> Option<Name> {
    let names: Vec<Name> = raw.platforms.iter().filter_map(platform::name_of).collect();
    let mut at = At::new(&raw.head.section, problems);
    let given = at.optional(&raw.head.baseline, |text| {
        names.iter().find(|name| name.as_str() == text).cloned().ok_or_else(|| {
            let words: Vec<_> = names.iter().map(Name::as_str).collect();
            let remedy = match did_you_mean(text, words.iter().copied()) {
                Some(word) => format!("did you mean {word:?}?"),
                None if words.is_empty() => "add a [[platform]] of this name".to_owned(),
                None => format!("write one of {}, or add a [[platform]] of this name", words.join(", ")),
            };
            Fault::new("there is no platform of this name", remedy)
        })
    })?;
    // Without any platform the problem is already noted there.
    given.or_else(|| names.first().cloned())
}

/// The name of this machine. A controller takes it if none is said, so that two controllers of a lab are not taken for one; so does the
/// host, since a runner calls itself by its machine too (by these same rules).
fn this_machine() -> Name {
    name_from(&std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default())
}

/// Small letters, digits, `-` and `_` stay, everything else becomes `-`; a domain is cut off.
#[expect(clippy::expect_used, reason = "the fallback is a name")]
fn name_from(host: &str) -> Name {
    let host = host.trim().split('.').next().unwrap_or_default().to_lowercase();
    let plain = |c: char| {
        if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' {
            c
        } else {
            '-'
        }
    };
    let text: String = host.chars().map(plain).take(Name::MAX).collect();
    let text = text.trim_start_matches(['-', '_']);
    text.parse().unwrap_or_else(|_| "runner".parse().expect("a name"))
}

#[cfg(test)]
mod tests {
    use super::name_from;

    #[test]
    fn any_host_name_becomes_a_name() {
        for (host, name) in [
            ("Lab-2.example.org\n", "lab-2"),
            ("__x y", "x-y"),
            ("", "runner"),
            ("\u{df}", "runner"),
        ] {
            assert_eq!(name_from(host).as_str(), name);
        }
    }
}
