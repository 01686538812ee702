//! `kind = "max"`.

use super::super::at::At;
use super::super::value;
use super::{cpus, duration, timing};
use crate::config::raw::RawLoadKeys;
use protocol::load::MaxLoad;

pub(super) fn check(keys: &RawLoadKeys, at: &mut At<'_>) -> Option<MaxLoad> {
    let connections = at.required(
        &keys.connections,
        "connections = 64",
        value::whole("a number of connections", 1..=10_000, 64),
    );
    let duration = duration(keys, at);
    let timing = timing(keys, duration, at);
    let keep_alive = at.or(&keys.keep_alive, true, value::any);
    let cpus = cpus(keys, at);
    Some(MaxLoad {
        connections: connections?,
        timing: timing?,
        keep_alive: keep_alive?,
        cpus: cpus?,
    })
}
