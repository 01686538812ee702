//! What the process ends with.

use std::process::ExitCode;

/// The exit codes, shown in `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Asked to end and ended, with nothing left behind; or `check` found nothing wrong.
    Ok = 0,
    /// A fault of the program.
    Internal = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The configuration is wrong; every problem was printed.
    Config = 3,
    /// No Kafka broker answered within `--wait`.
    Broker = 4,
    /// Something that the runner needs is missing, taken or not permitted (its state folder, its name).
    Unmet = 5,
    /// A second Ctrl-C: ended at once, without waiting for services to end.
    Interrupted = 130,
}

/// [`Exit`] for `--help`.
pub const HELP: &str = "\
Exit codes:
    0  asked to end (SIGTERM, Ctrl-C) and ended with nothing left behind
    1  a fault of the program
    2  the command line is wrong
    3  the configuration is wrong; every problem was printed
    4  no Kafka broker answered within --wait
    5  something the runner needs is missing, taken or not permitted (its state folder, its name)
  130  a second Ctrl-C: ended at once; the next start removes what is left";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
