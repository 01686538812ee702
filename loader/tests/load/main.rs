//! The load engines over real sockets, against a scripted server with all kinds of incorrect replies, against a server that records requests, and against `workload tcp`.

#![expect(clippy::unwrap_used, reason = "test code may panic")]

mod http;
mod ramp;
mod rate;
mod scripted;
mod server;
mod service;
mod tls;
mod users;

/// All requests of a load.
fn requests(outcome: &loader::Outcome) -> Vec<loader::Request> {
    outcome.requests.read().unwrap().collect::<Result<_, _>>().unwrap()
}
