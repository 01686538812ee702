//! What a runner does first: remove what its dead self left, and learn from the ledger which attempts those were.

use std::time::Duration;

use deploy::{AnyDriver, DeployError, Driver, Host};
use protocol::bus::Reply;
use protocol::envelope;
use protocol::event::{Failed, Stage};
use protocol::summary::Teardown;
use protocol::{AttemptId, Event};
use tokio::time::timeout;
use tracing::warn;

use crate::ledger::{Ledger, LedgerError, Record};

/// How long one platform may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// An attempt that a dead self left, as the table remembers it.
pub type Lost = (AttemptId, Reply, Event);

/// Removes everything that bears this runner's mark, and says in words what could not be removed.
pub async fn sweep(host: &Host) -> Vec<String> {
    let mut left = Vec::new();
    for driver in AnyDriver::all(host) {
        left.extend(clean(&driver).await);
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

/// Removes from one platform what bears this runner's mark, looks again, and says in words what is still there.
pub async fn clean(driver: &AnyDriver) -> Vec<String> {
    let mut found = Vec::new();
    for _ in 0..2 {
        found = match timeout(PATIENCE, driver.sweep()).await {
            Ok(Ok(found)) => found,
            // Without the platform itself there is nothing on it.
            Ok(Err(DeployError::Unmet { .. })) => Vec::new(),
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
    found
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
