//! Exit codes.

use std::process::ExitCode;

/// The exit codes of `loader`, shown in `--help`; each has the value and the meaning that it has in `controller`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Ended by a signal, gracefully.
    Ok = 0,
    /// An internal error.
    Internal = 1,
    /// Invalid command line.
    Usage = 2,
    /// No Kafka broker could be reached.
    Broker = 4,
    /// Another loader on this machine has the name.
    Unmet = 6,
    /// A second signal: ended at once.
    Interrupted = 130,
}

/// [`Exit`] for `--help`.
pub const HELP: &str = "\
Exit codes:
    0  ended by SIGINT, SIGTERM or SIGHUP
    1  internal error (a bug)
    2  invalid command line
    4  no Kafka broker could be reached within --wait
    6  another loader on this machine has the name
  130  a second signal: ended at once";

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
