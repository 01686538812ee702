//! `[deadlines]`.

use std::time::Duration;

use super::at::At;
use super::value;
use crate::config::PhaseDeadlines;
use crate::config::problem::Problem;
use crate::config::raw::RawDeadlines;

/// Checks `[deadlines]`; `None` has left a problem.
pub(super) fn check(raw: &RawDeadlines, problems: &mut Vec<Problem>) -> Option<PhaseDeadlines> {
    let s = Duration::from_secs;
    let long = Duration::from_millis(100)..=s(24 * 3600);
    let within = |example| value::within("a deadline", long.clone(), example);
    let mut at = At::new(&raw.section, problems);
    let runner = at.or(&raw.runner, s(60), within("1m"));
    let answer = at.or(&raw.answer, s(20), within("20s"));
    let prepare = at.or(&raw.prepare, s(300), within("5m"));
    let ready = at.or(&raw.ready, s(60), within("1m"));
    let seed = at.or(&raw.seed, s(120), within("2m"));
    let lease = at.or(&raw.lease, s(15), value::within("a lease", s(1)..=s(24 * 3600), "15s"));
    let grace = at.or(&raw.grace, s(10), within("10s"));
    Some(PhaseDeadlines {
        runner: runner?,
        answer: answer?,
        prepare: prepare?,
        ready: ready?,
        seed: seed?,
        lease: lease?,
        grace: grace?,
    })
}
