//! The programs that older studies used, run as they are, their files read back: for parity, not for precision.
//!
//! | program | what it is | what it cannot tell |
//! |---|---|---|
//! | [`httperf`] | open loop by connection rate | single requests, percentiles but the median, its own lag |
//! | [`jmeter`] | closed loop of threads | times below a millisecond, its own lag |

pub mod httperf;
pub mod jmeter;
mod outcome;
mod program;

pub use outcome::External;
pub use program::{is_there, run};
