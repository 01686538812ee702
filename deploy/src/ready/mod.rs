//! Waiting for the first correct reply of every service: what READY means.
//!
//! An open port alone proves nothing where a forward or a proxy stands in front of the service, so a reply is asked for and looked at. The wait
//! does not see a service die: race it against [`Running::ended`](crate::Running::ended).

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

/// The distance of two attempts at first. It bounds the error of a start-up time.
const EAGER: Duration = Duration::from_millis(2);
/// The distance of two attempts after [`PATIENT_AFTER`].
const PATIENT: Duration = Duration::from_millis(20);
/// How long attempts stay eager.
const PATIENT_AFTER: Duration = Duration::from_secs(5);
/// After so long without a reply a further one is asked for, while the others are still waited for: what forwards for a guest that is not up
/// yet takes a request and loses it, and a service on a busy host may need longer for the right reply.
const OVERDUE: Duration = Duration::from_secs(1);

/// The first correct reply of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstReply {
    /// The service.
    pub service: Name,
    /// When its last byte was here.
    pub at: Instant,
}

/// A service gave no correct reply in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("service {service} at {address} gave no correct reply within {} ms: {last}", .waited.as_millis())]
pub struct NotReady {
    /// The service.
    pub service: Name,
    /// Where it was asked.
    pub address: Address,
    /// How long it was asked for.
    pub waited: Duration,
    /// What the last attempt saw.
    pub last: String,
}

/// Where a service was asked, for people.
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

/// Asks every service, in parallel, until each has given its first correct reply, for `patience` at most. The replies are in the order of `started`.
///
/// # Errors
/// [`NotReady`] for the first service that ran out of time, or that `services` does not have.
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

/// Asks one service until it replies correctly. The error is what the last finished attempt saw.
async fn first_reply(probe: &Probe, started: &Started, until: Instant) -> Result<Instant, String> {
    if matches!(probe, Probe::Started(_)) {
        return Ok(Instant::now());
    }
    let Some(address) = started.endpoint else {
        return Err("it listens nowhere, so it cannot be asked".to_owned());
    };
    match probe {
        Probe::Udp(probe) => first_answer(probe, address, until).await,
        _ => first_of_many(probe, address, until).await,
    }
}

/// Asks over a new connection each time, several at a time where replies are overdue.
async fn first_of_many(probe: &Probe, address: SocketAddr, until: Instant) -> Result<Instant, String> {
    let from = Instant::now();
    let mut last = "no whole reply came".to_owned();
    let mut asked = FuturesUnordered::new();
    loop {
        asked.push(ask(probe, address));
        let overdue = (Instant::now() + OVERDUE).min(until);
        // Until the newest has failed like all before it, or is overdue.
        while let Ok(Some(outcome)) = timeout_at(overdue.into(), asked.next()).await {
            match outcome {
                Ok(()) => return Ok(Instant::now()),
                Err(error) => last = error,
            }
        }
        let pause = if asked.is_empty() { pause(from) } else { Duration::ZERO };
        if Instant::now() + pause >= until {
            return Err(last);
        }
        sleep(pause).await;
    }
}

/// Asks once.
async fn ask(probe: &Probe, address: SocketAddr) -> Result<(), String> {
    match probe {
        Probe::Http(probe) => http::ask(probe, address).await.map_err(|error| error.to_string()),
        Probe::Connects(_) => TcpStream::connect(address)
            .await
            .map(drop)
            .map_err(|error| error.to_string()),
        Probe::Started(_) | Probe::Udp(_) => Ok(()),
    }
}

/// The pause between two attempts is spent listening. What is refused at once (nothing listens there yet) is waited out all the same.
async fn first_answer(probe: &UdpProbe, address: SocketAddr, until: Instant) -> Result<Instant, String> {
    let from = Instant::now();
    let mut asker = None;
    loop {
        let pause = pause(from);
        let asked = match &mut asker {
            Some(asker) => udp::Asker::ask(asker, probe, pause).await,
            None => match udp::Asker::new(address).await {
                Ok(new) => asker.insert(new).ask(probe, pause).await,
                Err(error) => Err(error),
            },
        };
        let wrong = match asked {
            Ok(at) => return Ok(at),
            Err(wrong) => wrong,
        };
        if Instant::now() + pause >= until {
            return Err(wrong.to_string());
        }
        if matches!(wrong, udp::Wrong::Io(_)) {
            sleep(pause).await;
        }
    }
}

/// How long to wait before the next attempt of those that began at `from`.
fn pause(from: Instant) -> Duration {
    if from.elapsed() < PATIENT_AFTER { EAGER } else { PATIENT }
}

#[cfg(test)]
mod tests;
