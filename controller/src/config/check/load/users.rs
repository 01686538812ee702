//! `kind = "users"`.

use std::time::Duration;

use protocol::load::{MixPart, Think, Timing, UserRequests, UsersLoad};
use protocol::toml::{Fault, TableCheck, value};

use super::{HOUR, cpus, timing, window};
use crate::config::raw::{RawLoad, RawLoadKeys, RawMix};

/// The longest window of a load that ends with its users' requests, unless said otherwise.
const LONGEST: Duration = HOUR;

/// Closed loop of users.
pub(super) fn check(raw: &RawLoad, table: &mut TableCheck<'_>) -> Option<UsersLoad> {
    let keys = &raw.keys;
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
    let mix = mix(&raw.mix, table);
    let (timing, requests) = extent?;
    Some(UsersLoad {
        users: users?,
        timing,
        requests,
        think: think?,
        ramp_up: ramp_up?,
        keep_alive: keep_alive?,
        mix: mix?,
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

/// What users ask for; the service's root if nothing is said.
fn mix(raw: &[RawMix], table: &mut TableCheck<'_>) -> Option<Vec<MixPart>> {
    let root = MixPart {
        path: "/".to_owned(),
        label: String::new(),
        share: 1,
    };
    if raw.is_empty() {
        return Some(vec![root]);
    }
    let mut parts: Vec<MixPart> = Vec::new();
    let mut all = Some(());
    for raw in raw {
        match part(raw, &parts, &mut table.elsewhere(&raw.section)) {
            Some(part) => parts.push(part),
            None => all = None,
        }
    }
    all.map(|()| parts)
}

fn part(raw: &RawMix, before: &[MixPart], table: &mut TableCheck<'_>) -> Option<MixPart> {
    let path = table.required(&raw.path, "path = \"/\"", path);
    let label = table.optional(&raw.label, label)?;
    let share = table.or(&raw.share, 1, value::integer("a share", 1..=1000, 1));
    let (path, share) = (path?, share?);
    let label = label.unwrap_or_else(|| path.clone());
    if before.iter().any(|part| part.label == label) {
        let field = if raw.label.value().is_some() {
            &raw.label
        } else {
            &raw.path
        };
        let what = format!("the label {label:?} is already taken");
        table.error(field, Fault::new(what, "give each part a label of its own"));
        return None;
    }
    Some(MixPart { path, label, share })
}

#[expect(
    clippy::ptr_arg,
    reason = "fields hold a String, and a check takes what a field holds"
)]
fn path(text: &String) -> Result<String, Fault> {
    if text.starts_with('/') && text.len() <= 4096 && text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(text.clone())
    } else {
        let what = "a path begins with / and consists of printable ASCII without spaces";
        Err(Fault::new(what, "write e.g. \"/users?page=1\""))
    }
}

#[expect(
    clippy::ptr_arg,
    reason = "fields hold a String, and a check takes what a field holds"
)]
fn label(text: &String) -> Result<String, Fault> {
    if (1..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(text.clone())
    } else {
        let what = "a label is 1 to 63 printable ASCII characters without spaces";
        Err(Fault::new(what, "write e.g. \"login\""))
    }
}
