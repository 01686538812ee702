//! Load generation: own threads, own event loops, one trait.
//!
//! An [`Engine`] sends requests and returns an [`Outcome`]. It knows nothing of experiments, trials and files.
//!
//! | engine | loop | when a request is due |
//! |---|---|---|
//! | [`Rate`] | open | by its [`Schedule`], fixed before the first request, whatever the replies do |
//! | [`Ramping`] | open | as `Rate`, at one rate after another, in search of the highest that is sustained |
//! | [`Users`] | closed | when its user is ready: its last reply came and its think time is over |
//! | [`Max`] | closed | when the last reply on its connection came |
//! | [`Rest`] | none | never: it only lets time pass |
//!
//! In an open loop every latency counts from the due time, so a stall counts for all that were due meanwhile. In a closed loop a stall keeps users from
//! being ready: response time there is service time but for the generator's own lag, and must not be compared with an open loop's.
//!
//! # What the times of a request mean
//! All are nanoseconds on one monotonic clock, counted from the start of the run (the beginning of the
//! warm-up):
//!
//! | name | moment |
//! |---|---|
//! | intended | when it was due: by the schedule, or when its user was ready to send |
//! | sent | just before the first system call for it: `connect`, or `write` on an open connection |
//! | connected | the connection was seen to be up; absent on a connection that was open before |
//! | first byte | the first `read` that returned bytes of the reply had returned |
//! | done | the `read` that completed the reply had returned, or the request was given up |
//!
//! response time = done - intended · service time = done - sent · lag = sent - intended ·
//! connect time = connected - sent.

#[cfg(any(test, feature = "proptest"))]
pub mod arbitrary;
mod barrier;
mod build;
mod call;
pub mod cli;
mod clock;
mod control;
mod cpu;
pub mod daemon;
mod error;
pub mod exit;
pub mod external;
pub mod facts;
mod histograms;
mod http;
pub mod jung;
pub mod latency;
pub mod limits;
mod little;
mod log;
mod max;
mod merge;
mod outcome;
mod part;
mod plan;
mod ramp;
mod rate;
mod reach;
mod received;
mod reply;
mod request;
mod rest;
mod schedule;
mod scheduling;
pub mod shutdown;
mod tally;
mod target;
mod udp;
mod users;
pub mod wire;

pub use barrier::Barrier;
pub use build::{Order, engine, load_connections};
pub use call::{Call, Label, Message};
pub use clock::monotonic_ns;
pub use control::{Control, Progress};
pub use error::{ErrorKind, LoadError};
pub use histograms::Histograms;
pub use log::{RequestLog, Requests};
pub use max::{Max, MaxPlan};
pub use merge::merge;
pub use outcome::Outcome;
pub use part::Part;
pub use plan::{Connections, RatePlan};
pub use protocol::load::Arrivals;
pub use ramp::{Knee, Ramp, RampPlan, Ramping, Search, Step, Sustained};
pub use rate::Rate;
pub use reach::{reach, touch};
pub use received::ReceivedLog;
pub use reply::{Fed, ReplyReader};
pub use request::Request;
pub use rest::Rest;
pub use schedule::{Arrival, Schedule};
pub use scheduling::Scheduling;
pub use tally::Counts;
pub use target::{BodyRule, Expect, Judge, Target};
pub use udp::{
    SearchFigures, SearchLimit, SearchStep, ServiceCounters, StreamFigures, Udp, UdpFigures, UdpPlan, UdpReply,
};
pub use users::{Extent, Script, Think, Users, UsersPlan, most_connections};

/// Something that puts load on services.
pub trait Engine {
    /// Runs the whole load, warm-up included, and returns when the last reply came or was given up.
    ///
    /// It blocks the calling thread; `control` shows how far it is and can cancel it, which makes it
    /// return within a tenth of a second with what was measured until then.
    fn run(&self, control: &Control) -> Result<Outcome, LoadError>;
}
