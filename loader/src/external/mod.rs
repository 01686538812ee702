//! Load generators that are programs of others, run unmodified.
//!
//! | program | type | not reported |
//! |---|---|---|
//! | [`httperf`] | open loop by connection rate | individual requests, percentiles other than the median, its own lag |
//! | [`jmeter`] | closed loop of threads | times below a millisecond, its own lag |
//! | [`runs`] | runs of a task, one after the other | its own lag |
//! | [`command`] | any program of the user's | what its output does not tell |

pub mod command;
pub mod figures;
pub mod httperf;
pub mod jmeter;
pub mod jtl;
mod outcome;
mod program;
pub mod resolve;
pub mod runs;
pub mod units;

pub use figures::Figure;
pub use outcome::External;
pub use program::{is_installed, run};
