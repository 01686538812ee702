//! How long a command to the runner and its answer take.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::campaign::{CampaignError, Session};
use crate::config::Experiment;
use loader::shutdown::on_signals;

use super::ON_SIGNAL;

/// The round trips of some PINGs, ns.
#[derive(Clone, Debug)]
pub struct RoundTrips {
    host: String,
    times: Histogram<u64>,
}

/// PINGs before the measured ones: connections are made, code is loaded.
const WARM_UP: u32 = 20;

/// Sends PINGs one after the other over the experiment's broker.
///
/// # Errors
/// See [`CampaignError`].
pub async fn ping(experiment: &Experiment, count: u32) -> Result<RoundTrips, CampaignError> {
    let mut session = Session::open(experiment).await?;
    session
        .describe(experiment, &on_signals(ON_SIGNAL).map_err(CampaignError::Signals)?)
        .await?;
    let mut times = loader::Histograms::new().response;
    for round in 0..count + WARM_UP {
        let exchange = session.link.ping(experiment.deadlines.answer).await?;
        if round >= WARM_UP {
            times.saturating_record(u64::try_from(exchange.round_trip().as_nanos()).unwrap_or(u64::MAX));
        }
    }
    let host = session.link.host().to_string();
    session.close().await;
    Ok(RoundTrips { host, times })
}

impl fmt::Display for RoundTrips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |quantile| Duration::from_nanos(self.times.value_at_quantile(quantile)).as_secs_f64() * 1e3;
        writeln!(
            f,
            "{} round trips of PING to {}, one after the other",
            self.times.len(),
            self.host
        )?;
        writeln!(
            f,
            "p50 {:.3} ms, p90 {:.3} ms, p99 {:.3} ms, max {:.3} ms",
            at(0.5),
            at(0.9),
            at(0.99),
            at(1.0)
        )
    }
}
