//! Load generators of earlier studies, run unmodified, for comparability with those studies.
//!
//! | program | type | not reported |
//! |---|---|---|
//! | [`httperf`] | open loop by connection rate | individual requests, percentiles other than the median, its own lag |
//! | [`jmeter`] | closed loop of threads | times below a millisecond, its own lag |

pub mod httperf;
pub mod jmeter;
mod outcome;
mod program;

pub use outcome::External;
pub use program::{is_installed, run};
