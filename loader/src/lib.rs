//! The load generator: event-driven engines on dedicated threads behind one trait, [`Engine`].
//!
//! An engine sends requests and returns an [`Outcome`]. It knows nothing about experiments, trials and result files.
//!
//! | engine | loop | a request is due |
//! |---|---|---|
//! | [`Rate`] | open | by its [`Schedule`], fixed before the first request, regardless of replies |
//! | [`RampSearch`] | open | as in `Rate`, at successive rates, to find the highest sustained one |
//! | [`Users`] | closed | when its user is ready: the last reply has arrived and the think time is over |
//! | [`Max`] | closed | when the last reply on its connection has arrived |
//! | [`Idle`] | none | never; only time passes |
//!
//! In an open loop, response time counts from the scheduled time, so a stall affects all requests that were due meanwhile. In a closed loop, a stall keeps
//! users from being ready: response time is service time plus the generator's own lag, and must not be compared with that of an open loop.
//!
//! # Request timestamps
//! All are nanoseconds on one monotonic clock since the start of the run (the beginning of the warm-up):
//!
//! | name | time |
//! |---|---|
//! | intended | scheduled time: by the schedule, or when its user was ready to send |
//! | sent | just before the first system call: `connect`, or `write` on an open connection |
//! | connected | the connection was established; absent on a reused connection |
//! | first byte | after the first `read` that returned bytes of the reply |
//! | done | after the `read` that completed the reply, or when the request failed |
//!
//! response time = done - intended · service time = done - sent · lag = sent - intended ·
//! connect time = connected - sent.

#[cfg(any(test, feature = "proptest"))]
pub mod arbitrary;
mod awake;
mod barrier;
mod call;
mod calls;
pub mod cli;
mod clock;
mod control;
mod cpu;
pub mod daemon;
mod engine;
mod error;
pub mod expectation;
pub mod external;
pub mod facts;
mod http;
mod idle;
pub mod jung;
pub mod latency;
pub mod limits;
mod little;
mod log;
mod max;
mod merge;
mod outcome;
mod part;
mod ramp;
mod rate;
mod reachability;
mod reply;
mod request;
mod schedule;
pub mod shutdown;
mod tally;
mod target;
mod template;
pub mod tls;
mod udp;
mod users;
pub mod wire;

pub use awake::{Awake, KeptAwake};
pub use barrier::Barrier;
pub use call::{Call, CallBytes, Label, Message, OWN_FIELDS, check_field};
pub use calls::Calls;
pub use clock::monotonic_ns;
pub use control::{Control, Progress};
pub use cpu::Scheduling;
pub use engine::{EngineSpec, build_engine, max_load_connections};
pub use error::{ErrorKind, LoadError};
pub use idle::Idle;
pub use latency::Histograms;
pub use log::{ReceivedLog, RequestLog, Requests};
pub use max::{Max, MaxPlan};
pub use merge::merge;
pub use outcome::Outcome;
pub use part::Part;
pub use protocol::load::Arrivals;
pub use ramp::{Knee, KneeSearch, Ramp, RampPlan, RampSearch, Step, StepVerdict};
pub use rate::{Connections, Rate, RatePlan};
pub use reachability::{Contact, check_reachable, check_target, check_tls};
pub use reply::{Fed, ReplyReader};
pub use request::Request;
pub use schedule::{Arrival, Schedule};
pub use tally::Counts;
pub use target::{BodyRule, BodyValidator, Expect, StatusRule, Target};
pub use template::{Template, placeholders};
pub use udp::{SearchLimit, SearchStats, SearchStep, ServiceCounters, StreamStats, Udp, UdpPlan, UdpReply, UdpStats};
pub use users::{Extent, Script, Think, Users, UsersPlan, max_connections};

/// A load generator for one load.
pub trait Engine {
    /// Runs the whole load, including warm-up, and returns when all requests have completed or failed.
    ///
    /// Blocks the calling thread. `control` reports progress and can cancel the load, which makes this return within 0.1 s with the results so far.
    fn run(&self, control: &Control) -> Result<Outcome, LoadError>;
}
