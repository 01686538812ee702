//! Readiness: waits for the first correct reply of every service.
//!
//! An open port alone proves nothing where a forwarder or proxy is in front of the service, so a request is sent and its reply checked. The wait does
//! not notice that a service dies: race it against [`Deployment::ended`](crate::Deployment::ended).

pub(crate) mod http;
mod udp;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use futures_util::stream::FuturesUnordered;
use protocol::ids::Name;
use protocol::spec::{Probe, ServiceSpec, UdpProbe};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout_at};

use crate::Started;

use udp::{ProbeFailure, UdpProber};

/// Interval between attempts at first. It bounds the error of the start-up time.
const FAST_INTERVAL: Duration = Duration::from_millis(2);
/// Interval between attempts after [`FAST_PERIOD`].
const SLOW_INTERVAL: Duration = Duration::from_millis(20);
/// How long attempts are made at the short interval.
const FAST_PERIOD: Duration = Duration::from_secs(5);
/// After this long without a reply, another request is sent while the earlier ones stay open: a forwarder to a guest that is not up yet accepts a request
/// and loses it, whereas a service on a busy host may just need longer.
const OVERDUE: Duration = Duration::from_secs(1);

/// The first correct reply of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstReply {
    /// The service.
    pub service: Name,
    /// When its last byte arrived.
    pub at: Instant,
}

/// A service that did not reply correctly in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("service {service} at {address} did not reply correctly within {} ms: {last}", .waited.as_millis())]
pub struct NotReady {
    /// The service.
    pub service: Name,
    /// Its address.
    pub address: Address,
    /// How long it was probed.
    pub waited: Duration,
    /// The result of the last attempt.
    pub last: String,
}

/// A service's address for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub Option<SocketAddr>);

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("no address"),
        }
    }
}

/// Probes all services in parallel until each has replied correctly, for at most `patience`. The replies are in the order of `started`.
///
/// # Errors
/// [`NotReady`] for the first service that ran out of time or is not among `services`.
pub async fn wait(
    services: &[ServiceSpec],
    started: &[Started],
    patience: Duration,
) -> Result<Vec<FirstReply>, NotReady> {
    let until = Instant::now() + patience;
    try_join_all(started.iter().map(|started| async move {
        let spec = services.iter().find(|service| service.name == started.service);
        let outcome = match spec {
            Some(spec) => first_reply(&spec.ready, started, until).await,
            None => Err("it is not among the services of this attempt".into()),
        };
        match outcome {
            Ok(at) => Ok(FirstReply {
                service: started.service.clone(),
                at,
            }),
            Err(last) => Err(NotReady {
                service: started.service.clone(),
                address: Address(started.endpoint),
                waited: patience,
                last,
            }),
        }
    }))
    .await
}

/// Probes a service until it replies correctly. The error is the result of the last attempt that finished.
async fn first_reply(probe: &Probe, started: &Started, until: Instant) -> Result<Instant, String> {
    if matches!(probe, Probe::Started(_)) {
        return Ok(Instant::now());
    }
    let Some(address) = started.endpoint else {
        return Err("it has no address to probe".to_owned());
    };
    match probe {
        Probe::Udp(probe) => probe_udp(probe, address, until).await,
        _ => probe_tcp(probe, address, until).await,
    }
}

/// Probes over a new connection each time, over several at once when replies are overdue.
async fn probe_tcp(probe: &Probe, address: SocketAddr, until: Instant) -> Result<Instant, String> {
    let from = Instant::now();
    let mut last = "no complete reply".to_owned();
    let mut pending = FuturesUnordered::new();
    loop {
        pending.push(probe_once(probe, address));
        let overdue = (Instant::now() + OVERDUE).min(until);
        // Until the newest attempt has failed like those before it, or is overdue.
        while let Ok(Some(outcome)) = timeout_at(overdue.into(), pending.next()).await {
            match outcome {
                Ok(()) => return Ok(Instant::now()),
                Err(error) => last = error,
            }
        }
        let pause = if pending.is_empty() {
            pause(from)
        } else {
            Duration::ZERO
        };
        if Instant::now() + pause >= until {
            return Err(last);
        }
        sleep(pause).await;
    }
}

/// Probes once.
async fn probe_once(probe: &Probe, address: SocketAddr) -> Result<(), String> {
    match probe {
        Probe::Http(probe) => http::probe(probe, address).await.map_err(|error| error.to_string()),
        Probe::Connects(_) => TcpStream::connect(address)
            .await
            .map(drop)
            .map_err(|error| error.to_string()),
        Probe::Started(_) | Probe::Udp(_) => Ok(()),
    }
}

/// Spends the interval between two attempts waiting for an answer. Where an attempt fails at once because nothing listens yet, waits all the same.
/// A wrong answer says more than the silence after it, which may only mean that this host is busy.
async fn probe_udp(probe: &UdpProbe, address: SocketAddr, until: Instant) -> Result<Instant, String> {
    let from = Instant::now();
    let mut prober: Option<UdpProber> = None;
    let mut wrong = None;
    loop {
        let pause = pause(from);
        let outcome = match &mut prober {
            Some(prober) => prober.probe(probe, pause).await,
            None => match UdpProber::new(address).await {
                Ok(new) => prober.insert(new).probe(probe, pause).await,
                Err(error) => Err(error),
            },
        };
        let failure = match outcome {
            Ok(at) => return Ok(at),
            Err(failure) => failure,
        };
        let is_last = Instant::now() + pause >= until;
        match failure {
            ProbeFailure::NoAnswer if is_last => return Err(wrong.unwrap_or(failure).to_string()),
            _ if is_last => return Err(failure.to_string()),
            ProbeFailure::Io(_) => sleep(pause).await,
            ProbeFailure::NoAnswer => {}
            ProbeFailure::WrongAnswer { .. } => wrong = Some(failure),
        }
    }
}

/// The interval before the next attempt, for attempts that began at `from`.
fn pause(from: Instant) -> Duration {
    if from.elapsed() < FAST_PERIOD {
        FAST_INTERVAL
    } else {
        SLOW_INTERVAL
    }
}

#[cfg(test)]
mod tests;
