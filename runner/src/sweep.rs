//! The first thing a runner does: remove what a crashed previous instance left, and read from the crash journal which attempts those were.

use std::collections::BTreeSet;
use std::time::Duration;

use deploy::{AnyDriver, DeployError, Driver, Host};
use protocol::bus::Reply;
use protocol::engine::EngineSocket;
use protocol::envelope;
use protocol::event::{Failed, Stage};
use protocol::spec::{DockerSpec, PlatformSpec};
use protocol::summary::Teardown;
use protocol::{AttemptId, Event};
use tokio::time::timeout;
use tracing::warn;

use crate::crash_journal::{CrashJournal, CrashJournalError, Record};

/// How long the sweep of one platform may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// An attempt of a crashed previous instance: whom to answer, and its last event.
pub type CrashedAttempt = (AttemptId, Reply, Event);

/// Removes everything that bears this runner's mark, also from engines that only the journal knows, and returns what could not be removed.
pub async fn sweep(host: &Host, journal: &CrashJournal) -> Vec<String> {
    let mut left = Vec::new();
    for driver in AnyDriver::all(host) {
        left.extend(sweep_platform(&driver).await);
    }
    // `crashed_attempts` reports a journal that cannot be read.
    let records = journal.unfinished(envelope::unix_ms()).unwrap_or_default();
    for spec in engines(&records) {
        let found = try_sweep(&AnyDriver::for_platform(&spec, host)).await;
        let unknown = |unmet| {
            vec![format!(
                "{unmet} (until then it is unknown what a killed runner left there)"
            )]
        };
        left.extend(found.unwrap_or_else(unknown));
    }
    // Files of brokers, which have ended by now.
    let data = host.state.join("data");
    match tokio::fs::remove_dir_all(&data).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            left.push(format!("{}: {error}", data.display()));
        }
        _ => {}
    }
    left
}

/// The container engines at configured sockets that a crashed instance used, each once.
fn engines(records: &[Record]) -> Vec<PlatformSpec> {
    let of = |record: &Record| match &record.platform {
        Some(PlatformSpec::Docker(spec)) => spec.socket.clone(),
        _ => None,
    };
    let sockets: BTreeSet<EngineSocket> = records.iter().filter_map(of).collect();
    let engine = |socket| DockerSpec {
        socket: Some(socket),
        ..DockerSpec::default()
    };
    sockets
        .into_iter()
        .map(|socket| PlatformSpec::Docker(engine(socket)))
        .collect()
}

/// Removes from one platform what bears this runner's mark, and returns what is still there afterwards. If the platform does not exist, nothing is.
pub async fn sweep_platform(driver: &AnyDriver) -> Vec<String> {
    try_sweep(driver).await.unwrap_or_default()
}

/// The same; an error means that the platform does not exist.
async fn try_sweep(driver: &AnyDriver) -> Result<Vec<String>, DeployError> {
    let mut found = Vec::new();
    for _ in 0..2 {
        found = match timeout(TIMEOUT, driver.sweep()).await {
            Ok(Ok(found)) => found,
            Ok(Err(unmet @ DeployError::Unmet { .. })) => return Err(unmet),
            Ok(Err(error)) => vec![error.to_string()],
            Err(_) => vec![format!("a sweep took longer than {} s", TIMEOUT.as_secs())],
        };
        if found.is_empty() {
            break;
        }
        for what in &found {
            warn!("left behind: {what}");
        }
    }
    Ok(found)
}

/// The attempts of a crashed previous instance. `left` is what the sweep could not remove.
///
/// # Errors
/// If the journal cannot be read.
pub fn crashed_attempts(
    journal: &CrashJournal,
    host: &Host,
    left: &[String],
) -> Result<Vec<CrashedAttempt>, CrashJournalError> {
    let records = journal.unfinished(envelope::unix_ms())?;
    let crashed = |record: Record| {
        warn!(attempt = %record.attempt, trial = record.trial, "aborted: the runner was killed");
        if record.runner != host.runner {
            warn!(
                "the attempt ran under the runner name {}: to remove what it left, start a runner of that name once",
                record.runner
            );
        }
        let reply = Reply {
            host: host.runner.clone(),
            controller: record.controller,
            epoch: record.epoch,
            attempt: Some(record.attempt),
            in_reply_to: None,
        };
        let failed = Failed {
            stage: Stage::Unknown,
            why: "the runner was killed during this attempt; it has restarted and cleaned up: retry".to_owned(),
            logs: Vec::new(),
            teardown: Teardown {
                leftovers: left.to_vec(),
            },
        };
        (record.attempt, reply, Event::Failed(failed))
    };
    Ok(records.into_iter().map(crashed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Epoch;

    fn record(socket: Option<String>) -> Record {
        Record {
            attempt: AttemptId::fresh(),
            runner: crate::testing::name("lab"),
            controller: crate::testing::name("night"),
            epoch: Epoch(7),
            trial: "night podman.tcp.r500".to_owned(),
            started_unix_ms: envelope::unix_ms(),
            platform: Some(PlatformSpec::Docker(DockerSpec {
                socket: socket.map(|socket| socket.parse().unwrap()),
                ..DockerSpec::default()
            })),
        }
    }

    #[test]
    fn an_engine_of_several_attempts_is_swept_once() {
        let socket = || Some("unix:///run/a.sock".to_owned());
        let records = [record(socket()), record(None), record(socket())];
        assert_eq!(engines(&records), [records[0].platform.clone().unwrap()]);
    }

    #[tokio::test]
    async fn an_engine_that_is_gone_is_reported() {
        let state = tempfile::tempdir().unwrap();
        let journal = CrashJournal::open(state.path()).unwrap();
        let host = Host {
            runner: crate::testing::name("lab"),
            address: crate::config::defaults::ADDRESS,
            workload: "/nowhere/workload".into(),
            state: state.path().to_owned(),
        };
        let socket = format!("unix://{}/gone.sock", state.path().display());
        journal.insert(&record(Some(socket))).unwrap();
        let left = sweep(&host, &journal).await;
        assert!(
            left.iter()
                .any(|left| left.contains("gone.sock") && left.contains("it is unknown")),
            "{left:?}"
        );
    }
}
