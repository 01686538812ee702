//! `[[load]]`.

use std::time::Duration;

use super::keys::raw_table;
use super::many;
use crate::config::field::Field;
use crate::config::problem::Problem;
use crate::config::section::Section;
use crate::config::table::Table;

raw_table! {
    /// The keys of `[[load]]`, of every kind, but `[[load.mix]]`.
    RawLoadKeys {
        /// What it is.
        kind: text -> String,
        /// Its name.
        name: text -> String,
        /// The measured window.
        duration: duration -> Duration,
        /// Before the measured window.
        warm_up: duration -> Duration,
        /// After which a request has failed.
        timeout: duration -> Duration,
        /// Whether connections stay open.
        keep_alive: flag -> bool,
        /// The generator's CPUs.
        cpus: text -> String,
        /// rate: requests a second.
        rate: number -> f64,
        /// rate: when requests are due.
        arrivals: text -> String,
        /// ramp: the first rate.
        from: number -> f64,
        /// ramp: the last rate.
        to: number -> f64,
        /// ramp: the distance of two steps.
        step: number -> f64,
        /// ramp: how many requests may fail, percent.
        max_errors: number -> f64,
        /// ramp: the response time that may not be exceeded.
        max_response: duration -> Duration,
        /// ramp: at this percentile.
        percentile: number -> f64,
        /// ramp: how narrow the bracket must be, percent.
        resolution: number -> f64,
        /// ramp: how often both of its ends are tried again.
        repeats: whole -> i64,
        /// users: how many.
        users: whole -> i64,
        /// users: the calls of each.
        requests: whole -> i64,
        /// users: the first calls of each, which are not measured.
        warm_up_requests: whole -> i64,
        /// users: the pause between a reply and the next call.
        think_time: duration -> Duration,
        /// users: how the pause is distributed.
        think: text -> String,
        /// users: the time over which they begin.
        ramp_up: duration -> Duration,
        /// max: how many.
        connections: whole -> i64,
        /// httperf: requests on each connection.
        calls: whole -> i64,
        /// udp: how many packets.
        packets: whole -> i64,
        /// udp: the length of each, bytes.
        size: whole -> i64,
        /// udp: the distance of two packets.
        pace: duration -> Duration,
        /// udp: packets under way at most.
        window: whole -> i64,
        /// udp: how long the fastest pace without loss is looked for.
        search: duration -> Duration,
    }
}

raw_table! {
    /// `[[load.mix]]`.
    RawMix {
        /// Path and query.
        path: text -> String,
        /// What it is called in results.
        label: text -> String,
        /// How often it comes.
        share: whole -> i64,
    }
}

/// `[[load]]` with its `[[load.mix]]`.
#[derive(Clone, Debug)]
pub struct RawLoad {
    /// The keys of `[[load]]` itself.
    pub keys: RawLoadKeys,
    /// users: what they ask for.
    pub mix: Vec<RawMix>,
}

impl RawLoad {
    pub(super) fn read(mut table: Table<'_>, problems: &mut Vec<Problem>) -> Self {
        let mix = table.tables("mix");
        let keys = RawLoadKeys::read(&mut table);
        table.end(problems);
        Self {
            keys,
            mix: many(mix, RawMix::read, problems),
        }
    }
}
