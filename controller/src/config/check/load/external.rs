//! `kind = "httperf"` and `kind = "jmeter"`: the real programs.

use std::path::Path;
use std::time::Duration;

use super::super::at::At;
use super::super::value;
use super::rate::rate;
use super::{HOUR, cpus, duration, timing};
use crate::config::problem::Fault;
use crate::config::raw::RawLoadKeys;
use loader::external::{httperf, is_installed, jmeter};
use protocol::load::{HttperfLoad, JmeterLoad};

pub(super) fn httperf(keys: &RawLoadKeys, at: &mut At<'_>) -> Option<HttperfLoad> {
    needs(keys, at, Path::new("httperf"), httperf::REMEDY);
    let rate_per_s = at.required(&keys.rate, "rate = 500", rate);
    let duration = duration(keys, at);
    let timing = timing(keys, duration, at);
    let calls = at.or(
        &keys.calls,
        1,
        value::whole("the requests of a connection", 1..=10_000, 10),
    );
    let cpus = cpus(keys, at);
    Some(HttperfLoad {
        rate_per_s: rate_per_s?,
        timing: timing?,
        calls: calls?,
        cpus: cpus?,
    })
}

pub(super) fn jmeter(keys: &RawLoadKeys, at: &mut At<'_>) -> Option<JmeterLoad> {
    needs(keys, at, &jmeter::script(), jmeter::REMEDY);
    needs(keys, at, Path::new("java"), "apt-get install openjdk-17-jre-headless");
    let users = at.required(
        &keys.users,
        "users = 20",
        value::whole("a number of users", 1..=10_000, 20),
    );
    let duration = duration(keys, at);
    let timing = timing(keys, duration, at);
    let think = at.or(
        &keys.think_time,
        Duration::ZERO,
        value::within("a think time", Duration::ZERO..=HOUR, "100ms"),
    );
    let keep_alive = at.or(&keys.keep_alive, true, value::any);
    let cpus = cpus(keys, at);
    Some(JmeterLoad {
        users: users?,
        timing: timing?,
        think: think?,
        keep_alive: keep_alive?,
        cpus: cpus?,
    })
}

/// A program that is not on this machine; the run may be meant for another.
fn needs(keys: &RawLoadKeys, at: &mut At<'_>, program: &Path, remedy: &str) {
    if !is_installed(program) {
        let what = format!("{} is missing on this machine", program.display());
        at.warn(&keys.kind, Fault::new(what, remedy));
    }
}
