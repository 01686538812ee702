//! `kind = "udp"`.

use std::time::Duration;

use super::super::at::At;
use super::super::value;
use super::{HOUR, cpus};
use crate::config::problem::Fault;
use crate::config::raw::RawLoadKeys;
use protocol::load::{Timing, UdpLoad};

/// Most packets of a stream.
const MOST: i64 = 10_000_000;
/// A stream may take at least so long, whatever its pace.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn check(keys: &RawLoadKeys, at: &mut At<'_>) -> Option<UdpLoad> {
    let ms = Duration::from_millis;
    let packets = at.or(
        &keys.packets,
        100_000,
        value::whole("a number of packets", 1..=MOST, 100_000),
    );
    let size = at.or(
        &keys.size,
        8,
        value::whole("the length of a packet, whose number takes 8 bytes,", 8..=65_507, 8),
    );
    let pace = at.optional(
        &keys.pace,
        value::within("a pace", Duration::ZERO..=Duration::from_secs(1), "2us"),
    );
    let window = at.optional(
        &keys.window,
        value::whole("a number of packets under way", 1..=1_000_000, 64),
    );
    let search = at.optional(
        &keys.search,
        value::within("the time for the search", ms(100)..=HOUR, "30s"),
    );
    let warm_up = at.or(
        &keys.warm_up,
        ms(200),
        value::within("a warm-up", Duration::ZERO..=HOUR, "200ms"),
    );
    let timeout = at.or(
        &keys.timeout,
        Duration::from_secs(1),
        value::within("a time-out", ms(1)..=HOUR, "1s"),
    );
    let cpus = cpus(keys, at)?;
    let (packets, pace, window) = (packets?, pace?, window?);
    if window.is_none() && pace.unwrap_or_default().is_zero() {
        let fault = Fault::new(
            "packets need a pace, or a window of packets under way",
            "write e.g. pace = \"2us\", or window = 64",
        );
        at.error(&keys.pace, fault);
        return None;
    }
    let threads = cpus.len().max(1);
    if packets < threads as u64 || window.is_some_and(|window: u32| (window as usize) < threads) {
        let what = format!("{threads} threads cannot share fewer packets than they are");
        at.error(
            &keys.cpus,
            Fault::new(what, "name fewer CPUs, or more packets and a larger window"),
        );
        return None;
    }
    let mut load = UdpLoad {
        packets,
        size: size?,
        pace: pace.unwrap_or_default(),
        window,
        search: search?,
        timing: Timing {
            warm_up: warm_up?,
            duration: Duration::ZERO,
            timeout: timeout?,
        },
        cpus,
    };
    load.timing.duration = load.expected() * 2 + load.search.unwrap_or_default() + PATIENCE;
    Some(load)
}
