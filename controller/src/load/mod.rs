//! Load generation: own threads, own event loops, one trait.
//!
//! An [`Engine`] sends requests to a [`Target`] and returns an [`Outcome`]. It knows nothing of
//! experiments, trials and files. [`Rate`] is the open-loop engine: its [`Schedule`] is fixed before
//! the first request, never waits for a reply, and every latency counts from the intended time.
//!
//! # What the times of a request mean
//! All are nanoseconds on one monotonic clock, counted from the start of the run (the beginning of the
//! warm-up):
//!
//! | name | moment |
//! |---|---|
//! | intended | the schedule's |
//! | sent | just before the first system call for it: `connect`, or `write` on an open connection |
//! | connected | the connection was seen to be up; absent on a connection that was open before |
//! | first byte | the first `read` that returned bytes of the reply had returned |
//! | done | the `read` that completed the reply had returned, or the request was given up |
//!
//! response time = done - intended · service time = done - sent · lag = sent - intended ·
//! connect time = connected - sent.

mod clock;
mod control;
mod cpu;
mod error;
mod limits;
mod little;
mod outcome;
mod plan;
mod rate;
mod reply;
mod request;
mod schedule;
mod tally;
mod target;

pub use control::{Control, Progress};
pub use cpu::Usage;
pub use error::{ErrorKind, LoadError};
pub use little::Little;
pub use outcome::Outcome;
pub use plan::{Arrivals, Connections, RatePlan};
pub use rate::Rate;
pub use reply::{Fed, ReplyReader};
pub use request::{Request, RequestLog};
pub use schedule::{Arrival, Schedule};
pub use tally::{Counts, Histograms};
pub use target::{BodyRule, Expect, Target};

/// Something that puts load on a target.
pub trait Engine {
    /// Runs the whole load, warm-up included, and returns when the last reply came or was given up.
    ///
    /// It blocks the calling thread; `control` shows how far it is and can cancel it, which makes it
    /// return within a tenth of a second with what was measured until then.
    fn run(&self, target: &Target, control: &Control) -> Result<Outcome, LoadError>;
}
