//! Exit codes.

use std::process::{ExitCode, Termination};

/// The exit codes; `--help` and `docs/experiments.md` show the same table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// An internal error.
    Internal = 1,
    /// Invalid command line.
    Usage = 2,
    /// Invalid experiment file; every error was printed.
    Config = 3,
    /// No Kafka broker could be reached, or the embedded one could not start.
    Broker = 4,
    /// The runner did not answer, or refused the command.
    Runner = 5,
    /// A platform that is not optional is unavailable on the host.
    Unmet = 6,
    /// Results could not be written.
    Results = 7,
    /// The run finished, but some trials have no valid attempt.
    Trials = 8,
    /// The host does not meet `[host]` or `[band]`.
    Host = 9,
    /// Two runs differ in configuration, or significantly in a metric.
    Differ = 10,
    /// Interrupted by Ctrl-C or SIGTERM.
    Interrupted = 130,
}

impl Exit {
    /// Every code, ascending.
    pub const ALL: [Self; 12] = [
        Self::Ok,
        Self::Internal,
        Self::Usage,
        Self::Config,
        Self::Broker,
        Self::Runner,
        Self::Unmet,
        Self::Results,
        Self::Trials,
        Self::Host,
        Self::Differ,
        Self::Interrupted,
    ];

    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The meaning.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done",
            Self::Internal => "internal error (a bug)",
            Self::Usage => "invalid command line",
            Self::Config => "invalid experiment file; every error was printed",
            Self::Broker => "no Kafka broker could be reached, or the embedded one could not start",
            Self::Runner => "the runner or a loader did not answer, or refused the command",
            Self::Unmet => "a required platform is unavailable on the host",
            Self::Results => "results could not be written (disk full, no permission)",
            Self::Trials => "the run finished, but some trials have no valid attempt",
            Self::Host => "the host does not meet [host] or [band]",
            Self::Differ => "diff: the runs differ in configuration, or significantly in a metric",
            Self::Interrupted => "interrupted (Ctrl-C, SIGTERM); continue with --resume",
        }
    }

    /// The table for `--help`.
    #[must_use]
    pub fn table() -> String {
        let line = |exit: &Self| format!("  {:>3}  {}", exit.code(), exit.meaning());
        let lines: Vec<_> = Self::ALL.iter().map(line).collect();
        format!("Exit codes:\n{}", lines.join("\n"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_ascending() {
        assert!(Exit::ALL.is_sorted_by(|a, b| a.code() < b.code()));
    }

    #[test]
    fn the_reference_has_the_same_table() {
        let reference = include_str!("../../docs/experiments.md");
        for exit in Exit::ALL {
            let row = format!("| {} | {} |", exit.code(), exit.meaning());
            assert!(reference.contains(&row), "{row} is not in docs/experiments.md");
        }
    }
}
