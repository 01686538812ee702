//! The wait before a trial until the host is within the limits of `[band]`.

use std::time::{Duration, Instant};

use protocol::command::Describe;
use protocol::facts::HostState;
use tokio_util::sync::CancellationToken;

use super::error::CampaignError;
use crate::config::{Experiment, Otherwise};
use crate::peer::link::Link;
use crate::preflight::settle::exceeded;
use crate::progress::Progress;
use analysis::store::SettleRecord;

/// Interval between two queries of the host; CPU usage is measured over it.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Minimum interval between two progress lines about the wait.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Waits until the host is within the limits. `Ok(None)`: there are no limits, or `shutdown` was cancelled.
///
/// # Errors
/// [`CampaignError::NotSettled`] if the experiment then ends the run; [`CampaignError::Runner`].
pub async fn wait(
    link: &mut Link,
    experiment: &Experiment,
    start: &HostState,
    progress: &Progress,
    shutdown: &CancellationToken,
) -> Result<Option<SettleRecord>, CampaignError> {
    let limits = &experiment.band;
    if !limits.asks() {
        return Ok(None);
    }
    let (began, mut previous, mut reported) = (Instant::now(), None, None::<Instant>);
    loop {
        let facts = tokio::select! {
            facts = link.describe(Describe::default(), experiment.deadlines.runner) => facts?,
            () = shutdown.cancelled() => return Ok(None),
        };
        let exceeded = exceeded(limits, start, previous.as_ref(), &facts.now);
        // CPU usage is unknown at the first query.
        let is_first = previous.is_none() && limits.max_busy.is_some();
        if exceeded.is_empty() || (began.elapsed() >= limits.deadline && !is_first) {
            let record = SettleRecord {
                waited_ns: u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX),
                outside: exceeded,
                host: facts.now,
            };
            return match (record.outside.is_empty(), limits.otherwise) {
                (false, Otherwise::Stop) => Err(CampaignError::NotSettled {
                    waited: began.elapsed(),
                    exceeded: record.outside,
                }),
                _ => Ok(Some(record)),
            };
        }
        if !is_first && reported.is_none_or(|reported| reported.elapsed() >= REPORT_INTERVAL) {
            reported = Some(Instant::now());
            progress.phase(&format!("waiting for the host: {}", exceeded.join("; ")));
        }
        previous = Some(facts.now);
        tokio::select! {
            () = tokio::time::sleep(POLL_INTERVAL) => {}
            () = shutdown.cancelled() => return Ok(None),
        }
    }
}
