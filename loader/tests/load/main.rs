//! The load engines against real sockets: a scripted server that answers wrongly in every way, and the real `workload tcp`.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic as the test may")]

mod ramp;
mod rate;
mod scripted;
mod service;
mod users;

/// Every request of a load.
fn requests(outcome: &loader::Outcome) -> Vec<loader::Request> {
    outcome.requests.read().unwrap().collect::<Result<_, _>>().unwrap()
}
