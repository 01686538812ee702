//! A whole run: broker, runner, every trial of the plan, report.
//!
//! * `session` — the broker and the connections to runner and loaders;
//! * `settle` — the wait before a trial until the host is within the limits of `[band]`;
//! * `queue` — the order of trials and retries, pure;
//! * `trials` — executes the trials;
//! * [`run()`] — the run; an interrupted one can be resumed from its journal.

mod error;
pub mod queue;
mod run;
mod session;
mod settle;
mod trials;

pub use error::CampaignError;
pub use run::{Finished, Options, run};
pub use session::{Session, bus_config, service_problems};
