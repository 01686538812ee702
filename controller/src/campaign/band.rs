//! The wait before a trial until the host is back in band.

use std::time::{Duration, Instant};

use protocol::facts::HostState;
use tokio_util::sync::CancellationToken;

use super::CampaignError;
use crate::conduct::link::Link;
use crate::config::{Experiment, Otherwise};
use crate::preflight::band::outside;
use crate::progress::Progress;
use analysis::store::BandRecord;

/// How often the host is looked at; also what "busy" is taken over.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The least distance of two words about it.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Waits until the host is in band, and says what it waits for. `Ok(None)`: nothing is asked for, or the user ended it (`shutdown` tells).
///
/// # Errors
/// [`CampaignError::OutOfBand`] where that is to end the run; [`CampaignError::Runner`].
pub async fn wait(
    link: &mut Link,
    experiment: &Experiment,
    start: &HostState,
    progress: &Progress,
    shutdown: &CancellationToken,
) -> Result<Option<BandRecord>, CampaignError> {
    let band = &experiment.band;
    if !band.asks() {
        return Ok(None);
    }
    let (began, mut earlier, mut said) = (Instant::now(), None, None::<Instant>);
    loop {
        let facts = tokio::select! {
            facts = link.describe(&[], experiment.deadlines.runner) => facts?,
            () = shutdown.cancelled() => return Ok(None),
        };
        let outside = outside(band, start, earlier.as_ref(), &facts.now);
        // The first look cannot know how busy the host is.
        let is_first = earlier.is_none() && band.max_busy.is_some();
        if outside.is_empty() || (began.elapsed() >= band.deadline && !is_first) {
            let record = BandRecord {
                waited_ns: u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX),
                outside,
                host: facts.now,
            };
            return match (record.outside.is_empty(), band.otherwise) {
                (false, Otherwise::Stop) => Err(CampaignError::OutOfBand {
                    waited: began.elapsed(),
                    outside: record.outside,
                }),
                _ => Ok(Some(record)),
            };
        }
        if !is_first && said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            said = Some(Instant::now());
            progress.phase(&format!("waiting for the host: {}", outside.join("; ")));
        }
        earlier = Some(facts.now);
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shutdown.cancelled() => return Ok(None),
        }
    }
}
