//! What the process ends with.

use std::process::{ExitCode, Termination};

/// The exit codes; `--help` and `docs/experiments.md` show the same table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// A fault of the program.
    Internal = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The experiment file is wrong; every problem was printed.
    Config = 3,
    /// No Kafka broker could be reached, or the embedded one could not start.
    Broker = 4,
    /// The runner did not answer, or refused.
    Runner = 5,
    /// What a platform needs is not there, and the platform is not optional.
    Unmet = 6,
    /// Results could not be written.
    Results = 7,
    /// The run finished, and some trials never became valid.
    Trials = 8,
    /// The host is not what `[host]` or `[band]` requires.
    Host = 9,
    /// Two runs differ in what they were run with, or in a figure by more than chance.
    Differ = 10,
    /// Ctrl-C or SIGTERM.
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

    /// What it means, in words.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done",
            Self::Internal => "a fault of the program",
            Self::Usage => "the command line is wrong",
            Self::Config => "the experiment file is wrong; every problem was printed",
            Self::Broker => "no Kafka broker could be reached, or the embedded one could not start",
            Self::Runner => "the runner did not answer, or refused",
            Self::Unmet => "what a platform needs is not there, and the platform is not optional",
            Self::Results => "results could not be written (disk full, no permission)",
            Self::Trials => "the run finished, and some trials never became valid",
            Self::Host => "the host is not what [host] or [band] requires",
            Self::Differ => "diff: the two runs differ in what they were run with, or in a figure by more than chance",
            Self::Interrupted => "interrupted (Ctrl-C, SIGTERM); --resume goes on with the run",
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
            assert!(reference.contains(&row), "docs/experiments.md lacks {row}");
        }
    }
}
