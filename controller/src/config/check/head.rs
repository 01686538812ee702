//! `[experiment]`.

use std::path::PathBuf;

use protocol::ids::Name;
use protocol::toml::{Fault, Problem, TableCheck, did_you_mean, value};

use super::platform;
use crate::config::Order;
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

/// Checks `[experiment]`; `None`: a problem is reported.
pub(super) fn check(raw: &RawExperiment, problems: &mut Vec<Problem>) -> Option<Head> {
    let orders = [("randomized-blocks", Order::RandomizedBlocks), ("batch", Order::Batch)];
    let baseline = baseline(raw, problems);
    let head = &raw.head;
    let mut table = TableCheck::new(&head.section, problems);
    let name = table.required(&head.name, "name = \"first-look\"", value::name);
    let iterations = table.or(
        &head.iterations,
        30,
        value::integer("the number of iterations", 1..=MAX_ITERATIONS, 30),
    );
    let seed = table.or(&head.seed, 1, value::integer("a seed", 0..=i64::MAX, 1));
    let order = table.or(&head.order, Order::RandomizedBlocks, value::choice(&orders));
    let max_attempts = table.or(
        &head.max_attempts,
        3,
        value::integer("the number of attempts", 1..=100, 3),
    );
    let results = table.or(&head.results, PathBuf::from("results"), value::path);
    let controller = table.or(&head.controller, this_machine(), value::name);
    let host = table.or(&head.host, this_machine(), value::name);
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
    let mut table = TableCheck::new(&raw.head.section, problems);
    let given = table.optional(&raw.head.baseline, |text| {
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
    Name::of_host(&std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default())
}
