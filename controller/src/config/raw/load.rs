//! `[[load]]` of every kind, with its requests.

use std::time::Duration;

use protocol::raw_table;
use protocol::spec::CpuSet;
use protocol::toml::{Field, Problem, Table};

use super::command::{RawCommand, RawPresetUse};

raw_table! {
    /// The keys of `[[load]]`, of any kind, without those of its requests.
    RawLoadKeys {
        /// Its kind.
        kind: string -> String,
        /// Its name.
        name: string -> String,
        /// The measurement window.
        duration: duration -> Duration,
        /// The warm-up before the measurement window.
        warm_up: duration -> Duration,
        /// The time after which a request has failed.
        timeout: duration -> Duration,
        /// Whether connections are reused.
        keep_alive: boolean -> bool,
        /// The CPUs of the load generator.
        cpus: cpus -> CpuSet,
        /// rate: requests per second.
        rate: number -> f64,
        /// rate: the distribution of the scheduled times.
        arrivals: string -> String,
        /// rate: the maximum random delay of a request.
        jitter: duration -> Duration,
        /// ramp: the first rate.
        from: number -> f64,
        /// ramp: the last rate.
        to: number -> f64,
        /// ramp: the increment between two steps.
        step: number -> f64,
        /// ramp: the maximum share of failed requests, percent.
        max_errors: number -> f64,
        /// ramp: the maximum response time.
        max_response: duration -> Duration,
        /// ramp: the percentile to which `max_response` applies.
        percentile: number -> f64,
        /// ramp: the required width of the bracket, percent.
        resolution: number -> f64,
        /// ramp: how often both ends of the bracket are repeated.
        repeats: integer -> i64,
        /// users: number of users.
        users: integer -> i64,
        /// users: requests per user.
        requests: integer -> i64,
        /// users: initial requests per user that are not measured.
        warm_up_requests: integer -> i64,
        /// users: the pause between a reply and the next request.
        think_time: duration -> Duration,
        /// users: the distribution of the think time.
        think: string -> String,
        /// users: the period over which the users start.
        ramp_up: duration -> Duration,
        /// max: number of connections.
        connections: integer -> i64,
        /// httperf: requests per connection.
        calls: integer -> i64,
        /// udp: number of packets.
        packets: integer -> i64,
        /// udp: packet size, bytes.
        size: bytes -> i64,
        /// udp: the interval between two packets.
        pace: duration -> Duration,
        /// udp: the maximum number of packets in flight.
        window: integer -> i64,
        /// udp: the duration of the search for the fastest pace without loss.
        search: duration -> Duration,
        /// HTTP: which of several requests comes next.
        order: string -> String,
        /// HTTP: the value of the header field `Host`.
        host: string -> String,
    }
}

raw_table! {
    /// `[[load.request]]`, but for its `expect`. A load with one request has these keys itself.
    RawRequestKeys {
        /// What it is called in results.
        label: string -> String,
        /// How often it comes.
        weight: integer -> i64,
        /// The method.
        method: string -> String,
        /// Path and query.
        path: string -> String,
        /// Header fields.
        headers: strings -> Vec<(String, String)>,
        /// The body.
        body: string -> String,
        /// The file with the body.
        body_file: string -> String,
        /// Whether there are placeholders.
        template: boolean -> bool,
    }
}

raw_table! {
    /// `expect` of a request: what its reply must be.
    RawExpect {
        /// The status, or several.
        status: integers -> Vec<i64>,
        /// The length of the body.
        length: bytes -> i64,
        /// The body.
        body: string -> String,
        /// A part of the body.
        contains: string -> String,
        /// What matches in the body.
        regex: string -> String,
        /// Values of the body by JSON pointer.
        json: scalars -> Vec<(String, serde_json::Value)>,
        /// The SHA-256 of the body.
        sha256: string -> String,
    }
}

raw_table! {
    /// `[load.tls]`.
    RawTls {
        /// The file with the certificates of the authorities.
        ca: string -> String,
        /// Whether every certificate is accepted.
        insecure: boolean -> bool,
        /// Whether new connections resume sessions.
        session_reuse: boolean -> bool,
    }
}

/// A request with its `expect`.
#[derive(Clone, Debug)]
pub struct RawRequest {
    /// The keys of the request itself.
    pub keys: RawRequestKeys,
    /// `expect`.
    pub expect: RawExpect,
}

impl RawRequest {
    fn read(table: &mut Table<'_>, problems: &mut Vec<Problem>) -> Self {
        let expect = table.table("expect").read_whole(RawExpect::read, problems);
        let keys = RawRequestKeys::read(table);
        Self { keys, expect }
    }

    /// Whether there is an `expect`, even an empty one.
    #[must_use]
    pub const fn has_expect(&self) -> bool {
        self.expect.section.line.is_some()
    }
}

/// `[[load]]` with its requests.
#[derive(Clone, Debug)]
pub struct RawLoad {
    /// The keys of every kind of load.
    pub keys: RawLoadKeys,
    /// The keys of a load with one request.
    pub request: RawRequest,
    /// Every `[[load.request]]`.
    pub requests: Vec<RawRequest>,
    /// `[load.tls]`.
    pub tls: RawTls,
    /// command: the preset.
    pub preset: RawPresetUse,
    /// command: the program.
    pub command: RawCommand,
}

impl RawLoad {
    pub(super) fn read(mut table: Table<'_>, problems: &mut Vec<Problem>) -> Self {
        let requests = table.tables("request").into_iter().map(|mut table| {
            let request = RawRequest::read(&mut table, problems);
            table.end(problems);
            request
        });
        let requests = requests.collect();
        let load = Self {
            requests,
            tls: table.table("tls").read_whole(RawTls::read, problems),
            request: RawRequest::read(&mut table, problems),
            keys: RawLoadKeys::read(&mut table),
            preset: RawPresetUse::read(&mut table),
            command: RawCommand::read(&mut table, problems),
        };
        table.end(problems);
        load
    }

    /// The keys that are there, without their values.
    pub fn given(&self) -> Vec<Field<()>> {
        [self.keys.given(), self.preset.given(), self.command.program.given()].concat()
    }
}
