//! What a runner does first: remove what its dead self left, and learn from the ledger which attempts those were.

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

use crate::ledger::{Ledger, LedgerError, Record};

/// How long one platform may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// An attempt that a dead self left, as the table remembers it.
pub type Lost = (AttemptId, Reply, Event);

/// Removes everything that bears this runner's mark, also from engines that only the ledger knows of, and says in words what could not be removed.
pub async fn sweep(host: &Host, ledger: &Ledger) -> Vec<String> {
    let mut left = Vec::new();
    for driver in AnyDriver::all(host) {
        left.extend(clean(&driver).await);
    }
    // A ledger that cannot be read is said by `lost`.
    let records = ledger.open_attempts(envelope::unix_ms()).unwrap_or_default();
    for spec in engines(&records) {
        let found = clean_if_there(&AnyDriver::for_platform(&spec, host)).await;
        let nobody_knows = |unmet| {
            vec![format!(
                "{unmet} (until then nobody knows what a killed runner left there)"
            )]
        };
        left.extend(found.unwrap_or_else(nobody_knows));
    }
    // Files of brokers that are dead by now.
    let data = host.state.join("data");
    match tokio::fs::remove_dir_all(&data).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            left.push(format!("{}: {error}", data.display()));
        }
        _ => {}
    }
    left
}

/// The engines at sockets of their own that a dead self used, each once.
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

/// Removes from one platform what bears this runner's mark, looks again, and says in words what is still there. Without the platform itself
/// there is nothing on it.
pub async fn clean(driver: &AnyDriver) -> Vec<String> {
    clean_if_there(driver).await.unwrap_or_default()
}

/// The same; the error: the platform is not there.
async fn clean_if_there(driver: &AnyDriver) -> Result<Vec<String>, DeployError> {
    let mut found = Vec::new();
    for _ in 0..2 {
        found = match timeout(PATIENCE, driver.sweep()).await {
            Ok(Ok(found)) => found,
            Ok(Err(unmet @ DeployError::Unmet { .. })) => return Err(unmet),
            Ok(Err(error)) => vec![error.to_string()],
            Err(_) => vec![format!("a sweep did not end within {} s", PATIENCE.as_secs())],
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

/// The attempts that a dead self left, each with the answer to whoever asks about it. `left` is what the sweep could not remove.
///
/// # Errors
/// If the ledger cannot be read.
pub fn lost(ledger: &Ledger, host: &Host, left: &[String]) -> Result<Vec<Lost>, LedgerError> {
    let records = ledger.open_attempts(envelope::unix_ms())?;
    let tell = |record: Record| {
        warn!(attempt = %record.attempt, trial = record.trial, "cut short when the runner was killed");
        if record.runner != host.runner {
            warn!(
                "it ran under the name {}: what it left is only found by a runner of that name, so start one once",
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
            why: "the runner was killed during this attempt; it is back and has cleaned up: try again".to_owned(),
            logs: Vec::new(),
            teardown: Teardown {
                leftovers: left.to_vec(),
            },
        };
        (record.attempt, reply, Event::Failed(failed))
    };
    Ok(records.into_iter().map(tell).collect())
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
    async fn an_engine_that_is_gone_is_said_and_not_taken_for_clean() {
        let state = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(state.path()).unwrap();
        let host = Host {
            runner: crate::testing::name("lab"),
            address: crate::config::defaults::ADDRESS,
            workload: "/nowhere/workload".into(),
            state: state.path().to_owned(),
        };
        let socket = format!("unix://{}/gone.sock", state.path().display());
        ledger.enter(&record(Some(socket))).unwrap();
        let left = sweep(&host, &ledger).await;
        assert!(
            left.iter()
                .any(|left| left.contains("gone.sock") && left.contains("nobody knows")),
            "{left:?}"
        );
    }
}
