//! The exit codes of `controller`, `runner` and `loader`: a code means the same in all of them.

use std::process::{ExitCode, Termination};

/// An exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done; of a daemon: graceful shutdown.
    Ok = 0,
    /// An internal error.
    Internal = 1,
    /// Invalid command line.
    Usage = 2,
    /// Invalid configuration; every error was printed.
    Config = 3,
    /// No Kafka broker could be reached, or the embedded one could not start.
    Broker = 4,
    /// A runner or loader did not answer, or refused the command.
    Runner = 5,
    /// Something that is required is missing, in use or not permitted.
    Unmet = 6,
    /// Results could not be written.
    Results = 7,
    /// The run finished, but some trials have no valid attempt.
    Trials = 8,
    /// The host does not meet `[host]` or `[band]`.
    Host = 9,
    /// Two runs differ in configuration, or significantly in a metric.
    Differ = 10,
    /// Interrupted by a signal; of a daemon: by a second one.
    Interrupted = 130,
}

/// The exit codes of a program, ascending, with what they mean there.
pub type ExitCodes<'a> = &'a [(Exit, &'a str)];

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// A program's exit codes for `--help`.
    #[must_use]
    pub fn table(codes: ExitCodes<'_>) -> String {
        let line = |(exit, meaning): &(Self, &str)| format!("\n  {:>3}  {meaning}", exit.code());
        format!("Exit codes:{}", codes.iter().map(line).collect::<String>())
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        self.into()
    }
}
