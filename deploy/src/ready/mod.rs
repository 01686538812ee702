//! Readiness: waits for the first correct reply of every service.
//!
//! An open port alone proves nothing where a forwarder or proxy is in front of the service, so a request is sent and its reply checked. The wait does
//! not notice that a service dies: race it against [`Deployment::ended`](crate::Deployment::ended).
//!
//! | modules | probes |
//! |---|---|
//! | `http`, `tcp`, `udp` | that talk to the service |
//! | `local` | that look at its output, or run a program |

pub(crate) mod http;
mod local;
mod tcp;
mod udp;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use futures_util::stream::FuturesUnordered;
use protocol::ids::Name;
use protocol::spec::{Probe, Readiness};
use tokio::time::{sleep, timeout_at};

use crate::{DeploymentSpec, Service, Started};

use udp::{Exchange, ProbeFailure, UdpProber};

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

/// Probes all services in parallel until each has replied correctly, for at most `patience`. The replies are in the order of `started`. Programs of
/// probes carry the mark of the runner.
///
/// # Errors
/// [`NotReady`] for the first service that ran out of time or is not in the deployment.
pub async fn wait(
    deployment: &DeploymentSpec,
    runner: &Name,
    started: &[Started],
    patience: Duration,
) -> Result<Vec<FirstReply>, NotReady> {
    try_join_all(started.iter().map(|started| async move {
        let mut services = deployment.services.iter();
        let service = services.find(|service| service.name == started.service);
        let waited = service
            .and_then(|service| service.ready.timeout())
            .map_or(patience, |own| own.min(patience));
        let outcome = match service {
            Some(service) => {
                let subject = Subject {
                    deployment,
                    runner,
                    service,
                    endpoint: started.endpoint,
                };
                subject.first_reply(Instant::now() + waited).await
            }
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
                waited,
                last,
            }),
        }
    }))
    .await
}

/// A service that is probed.
#[derive(Clone, Copy, Debug)]
struct Subject<'a> {
    deployment: &'a DeploymentSpec,
    /// The runner's name.
    runner: &'a Name,
    service: &'a Service,
    endpoint: Option<SocketAddr>,
}

impl Subject<'_> {
    /// Probes the service until it replies correctly. The error is the result of the last attempt that finished.
    async fn first_reply(&self, until: Instant) -> Result<Instant, String> {
        let readiness = &self.service.ready;
        match &readiness.probe {
            Probe::Started(_) => return Ok(Instant::now()),
            Probe::Output(output) => return local::output(self, output, until).await,
            Probe::Command(command) => return local::command(self, command, until).await,
            _ => {}
        }
        let Some(address) = self.endpoint else {
            return Err("it has no address to probe".to_owned());
        };
        match &readiness.probe {
            Probe::Udp(probe) => probe_udp(readiness, &Exchange::of(probe), address, until).await,
            Probe::Dns(probe) => probe_udp(readiness, &Exchange::of_query(&probe.name), address, until).await,
            Probe::Http(probe) => {
                let request = http::Request::new(probe)?;
                let once = || async { request.probe(address).await.map_err(|error| error.to_string()) };
                probe_tcp(readiness, once, until).await
            }
            Probe::Redis(_) => probe_tcp(readiness, || tcp::ping(address), until).await,
            _ => probe_tcp(readiness, || tcp::connect(address), until).await,
        }
    }
}

/// Probes over a new connection each time, over several at once when replies are overdue.
async fn probe_tcp<F: Future<Output = Result<Instant, String>>>(
    readiness: &Readiness,
    once: impl Fn() -> F,
    until: Instant,
) -> Result<Instant, String> {
    let from = Instant::now();
    let mut last = "no complete reply".to_owned();
    let mut pending = FuturesUnordered::new();
    loop {
        pending.push(once());
        let overdue = (Instant::now() + OVERDUE).min(until);
        // Until the newest attempt has failed like those before it, or is overdue.
        while let Ok(Some(outcome)) = timeout_at(overdue.into(), pending.next()).await {
            match outcome {
                Ok(at) => return Ok(at),
                Err(error) => last = error,
            }
        }
        let pause = if pending.is_empty() {
            pause(readiness, from)
        } else {
            Duration::ZERO
        };
        if Instant::now() + pause >= until {
            return Err(last);
        }
        sleep(pause).await;
    }
}

/// Spends the interval between two attempts waiting for an answer. Where an attempt fails at once because nothing listens yet, waits all the same.
/// A wrong answer says more than the silence after it, which may only mean that this host is busy.
async fn probe_udp(
    readiness: &Readiness,
    exchange: &Exchange,
    address: SocketAddr,
    until: Instant,
) -> Result<Instant, String> {
    let from = Instant::now();
    let mut prober: Option<UdpProber> = None;
    let mut wrong = None;
    loop {
        let pause = pause(readiness, from);
        let outcome = match &mut prober {
            Some(prober) => prober.probe(exchange, pause).await,
            None => match UdpProber::new(address).await {
                Ok(new) => prober.insert(new).probe(exchange, pause).await,
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
fn pause(readiness: &Readiness, from: Instant) -> Duration {
    let default = if from.elapsed() < FAST_PERIOD {
        FAST_INTERVAL
    } else {
        SLOW_INTERVAL
    };
    readiness.interval().unwrap_or(default)
}

#[cfg(test)]
mod tests;
