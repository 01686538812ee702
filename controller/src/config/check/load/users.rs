//! `kind = "users"`.

use std::time::Duration;

use protocol::load::{Think, Timing, UserRequests, UsersLoad};
use protocol::toml::{Fault, TableCheck, value};

use super::{HOUR, cpus, timing, window};
use crate::config::raw::RawLoadKeys;

/// The longest window of a load that ends with its users' requests, unless said otherwise.
const LONGEST: Duration = HOUR;

/// Closed loop of users.
pub(super) fn check(keys: &RawLoadKeys, table: &mut TableCheck<'_>) -> Option<UsersLoad> {
    let users = table.required(
        &keys.users,
        "users = 20",
        value::integer("a number of users", 1..=10_000, 20),
    );
    let extent = extent(keys, table);
    let think = think(keys, table);
    let ramp_up = table.or(
        &keys.ramp_up,
        Duration::ZERO,
        value::within("a ramp-up", Duration::ZERO..=HOUR, "10s"),
    );
    let keep_alive = table.or(&keys.keep_alive, true, value::any);
    let cpus = cpus(keys, table);
    let (timing, requests) = extent?;
    Some(UsersLoad {
        users: users?,
        timing,
        requests,
        think: think?,
        ramp_up: ramp_up?,
        keep_alive: keep_alive?,
        cpus: cpus?,
    })
}

/// Either a window with a warm-up before it, or so many requests a user.
fn extent(keys: &RawLoadKeys, table: &mut TableCheck<'_>) -> Option<(Timing, Option<UserRequests>)> {
    let whole = |what| value::integer(what, 1..=1_000_000, 100);
    let each = table.optional(&keys.requests, whole("the requests of a user"))?;
    let warm_up = table.or(
        &keys.warm_up_requests,
        0,
        value::integer("the first requests of a user that are not measured", 0..=1_000_000, 5),
    );
    let Some(each) = each else {
        let (what, remedy) = (
            "only a load with `requests` has it",
            "remove it, or write requests = 100",
        );
        table.forbid(&keys.warm_up_requests, what, remedy);
        let duration = table.required(&keys.duration, "duration = \"10s\", or requests = 100", window());
        return Some((timing(keys, duration, table)?, None));
    };
    let (what, remedy) = (
        "a load with `requests` warms up by requests",
        "write warm_up_requests = 5 instead",
    );
    table.forbid(&keys.warm_up, what, remedy);
    let longest = table.or(&keys.duration, LONGEST, window());
    let warm_up: u32 = warm_up?;
    if warm_up >= each {
        let what = "no request of a user would be measured";
        table.error(&keys.warm_up_requests, Fault::new(what, "write fewer than `requests`"));
        return None;
    }
    let timing = Timing {
        warm_up: Duration::ZERO,
        ..timing(keys, longest, table)?
    };
    Some((timing, Some(UserRequests { each, warm_up })))
}

fn think(keys: &RawLoadKeys, table: &mut TableCheck<'_>) -> Option<Think> {
    let pause = table.or(
        &keys.think_time,
        Duration::ZERO,
        value::within("a think time", Duration::ZERO..=HOUR, "100ms"),
    );
    let exponential = table.or(
        &keys.think,
        false,
        value::choice(&[("constant", false), ("exponential", true)]),
    );
    Some(match (exponential?, pause?) {
        (true, mean) => Think::Exponential(mean),
        (false, pause) => Think::Constant(pause),
    })
}
