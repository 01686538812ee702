//! How an attempt ended, as an event.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use protocol::Event;
use protocol::event::{Failed, LogTail, Refused, Stage};
use protocol::summary::{Exit, Teardown};

use crate::state::EndReason;

/// How much of a service's output is in FAILED, bytes.
const TAIL: u64 = 4096;

/// How much of all services' output is in FAILED, bytes. JSON may escape a byte as six, and messages have a size limit.
const TAILS: u64 = 100_000;

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Its platform cannot be used here.
    Refused(Refused),
    /// It failed in this stage.
    Failed(Stage, String),
    /// It was ended in this stage.
    Ended(EndReason, Stage),
}

impl Outcome {
    /// The last event of an attempt without a SUMMARY.
    #[must_use]
    pub fn into_event(self, teardown: Teardown) -> Event {
        match self {
            Self::Refused(refused) => Event::Refused(refused),
            Self::Failed(stage, why) => failed(stage, why, teardown),
            Self::Ended(EndReason::Stop(reason), _) => {
                let why = format!("stopped before it was READY ({reason:?})");
                failed(Stage::Stopped, why, teardown)
            }
            Self::Ended(EndReason::LeaseExpired, _) => {
                let why = "the controller's lease expired: check that it is alive and reaches the broker";
                failed(Stage::Lease, why.to_owned(), teardown)
            }
            Self::Ended(EndReason::Superseded, _) => {
                let why = "the controller was restarted and has taken over";
                failed(Stage::Lease, why.to_owned(), teardown)
            }
            Self::Ended(EndReason::Shutdown, stage) => {
                failed(stage, "the runner was shut down: restart it".to_owned(), teardown)
            }
        }
    }
}

/// FAILED without the output of services.
pub fn failed(stage: Stage, why: String, teardown: Teardown) -> Event {
    Event::Failed(Failed {
        stage,
        why,
        logs: Vec::new(),
        teardown,
    })
}

/// Adds the end of each service's output to a FAILED.
pub fn with_logs<'a>(event: Event, logs: &Path, services: impl Iterator<Item = &'a str>) -> Event {
    let Event::Failed(mut failed) = event else {
        return event;
    };
    let services: Vec<&str> = services.collect();
    let max = TAIL.min(TAILS / (services.len() as u64).max(1));
    let tail_of = |service: &&str| {
        let text = tail(&logs.join(format!("{service}.log")), max)?;
        let service = service.parse().ok()?;
        (!text.is_empty()).then_some(LogTail { service, text })
    };
    failed.logs = services.iter().filter_map(tail_of).collect();
    Event::Failed(failed)
}

/// The last bytes of a file as text; `None`: there is no such file.
fn tail(path: &Path, max: u64) -> Option<String> {
    let file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let from = length.saturating_sub(max);
    let mut bytes = vec![0; usize::try_from(length - from).ok()?];
    // The file may have been truncated since.
    let read = file.read_at(&mut bytes, from).ok()?;
    Some(String::from_utf8_lossy(&bytes[..read]).into_owned())
}

/// An exit, for messages.
pub fn describe(exit: &Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
        Exit::OutOfMemory => "out of memory: raise `memory_mib`".to_owned(),
        Exit::Crashed => "the guest crashed".to_owned(),
        Exit::Unserved => {
            "virtiofsd, which serves its guest a directory, exited before it: its last output is in the log".to_owned()
        }
        Exit::Killed => "killed".to_owned(),
        Exit::Unknown => "exit status unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_has_the_end_of_the_output() {
        let folder = tempfile::tempdir().unwrap();
        let services = || ["web"].into_iter();
        let failure = || Outcome::Failed(Stage::Start, "why".to_owned()).into_event(Teardown::default());
        let Event::Failed(silent) = with_logs(failure(), folder.path(), services()) else {
            panic!("not FAILED")
        };
        assert_eq!(silent.logs, []);
        let output = [vec![b'x'; 10_000], b"last \xff".to_vec()].concat();
        std::fs::write(folder.path().join("web.log"), output).unwrap();
        let Event::Failed(failed) = with_logs(failure(), folder.path(), services()) else {
            panic!("not FAILED")
        };
        let text = &failed.logs[0].text;
        assert!(
            text.ends_with("last \u{fffd}") && text.chars().count() == 4096,
            "{}",
            text.len()
        );
    }
}
