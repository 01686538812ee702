//! Why an attempt is over, as the event that says so.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use protocol::Event;
use protocol::event::{Failed, LogTail, Refused, Stage};
use protocol::summary::Teardown;

use crate::state::Why;

/// The most of a service's output that goes into FAILED, bytes.
const TAIL: u64 = 4096;

/// The most of all services' output, bytes: JSON may write six for one, and a message has its limit.
const TAILS: u64 = 100_000;

/// Why an attempt is over.
#[derive(Clone, Debug, PartialEq)]
pub enum Over {
    /// Its platform cannot be used here.
    Refused(Refused),
    /// It broke.
    Broken(Stage, String),
    /// It was ended, having come this far.
    Ended(Why, Stage),
}

impl Over {
    /// The event for an attempt that has no SUMMARY.
    #[must_use]
    pub fn into_event(self, teardown: Teardown) -> Event {
        match self {
            Self::Refused(refused) => Event::Refused(refused),
            Self::Broken(stage, why) => failed(stage, why, teardown),
            Self::Ended(Why::Stop(reason), _) => {
                let why = format!("stopped before it was READY ({reason:?})");
                failed(Stage::Stopped, why, teardown)
            }
            Self::Ended(Why::LeaseOver, _) => {
                let why =
                    "the controller was silent for longer than its lease: is it alive, and does it reach the broker?";
                failed(Stage::Lease, why.to_owned(), teardown)
            }
            Self::Ended(Why::Superseded, _) => {
                let why = "the controller has been started again and has taken over";
                failed(Stage::Lease, why.to_owned(), teardown)
            }
            Self::Ended(Why::Shutdown, stage) => {
                failed(stage, "the runner was told to end: start it again".to_owned(), teardown)
            }
        }
    }
}

/// FAILED without output.
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
    let most = TAIL.min(TAILS / (services.len() as u64).max(1));
    let tail_of = |service: &&str| {
        let text = tail(&logs.join(format!("{service}.log")), most)?;
        let service = service.parse().ok()?;
        (!text.is_empty()).then_some(LogTail { service, text })
    };
    failed.logs = services.iter().filter_map(tail_of).collect();
    Event::Failed(failed)
}

/// The last bytes of a file as text; `None`: there is no such file.
fn tail(path: &Path, most: u64) -> Option<String> {
    let file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let from = length.saturating_sub(most);
    let mut bytes = vec![0; usize::try_from(length - from).ok()?];
    // It may have been cut meanwhile: what is there counts.
    let read = file.read_at(&mut bytes, from).ok()?;
    Some(String::from_utf8_lossy(&bytes[..read]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_brings_the_end_of_the_output() {
        let folder = tempfile::tempdir().unwrap();
        let services = || ["web"].into_iter();
        let broken = || Over::Broken(Stage::Start, "why".to_owned()).into_event(Teardown::default());
        let Event::Failed(silent) = with_logs(broken(), folder.path(), services()) else {
            panic!("not FAILED")
        };
        assert_eq!(silent.logs, []);
        let output = [vec![b'x'; 10_000], b"last \xff".to_vec()].concat();
        std::fs::write(folder.path().join("web.log"), output).unwrap();
        let Event::Failed(failed) = with_logs(broken(), folder.path(), services()) else {
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
