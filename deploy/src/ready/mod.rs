//! Waiting for the first correct reply of every service: what READY means.
//!
//! An open port alone proves nothing where a forward or a proxy stands in front of the service, so a reply is asked for and looked at. The wait
//! does not see a service die: race it against [`Running::ended`](crate::Running::ended).

mod http;
mod udp;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use protocol::ids::Name;
use protocol::spec::{Probe, ServiceSpec, UdpProbe};
use tokio::net::TcpStream;

use crate::Started;

/// The distance of two attempts at first. It bounds the error of a start-up time.
const EAGER: Duration = Duration::from_millis(2);
/// The distance of two attempts after [`PATIENT_AFTER`].
const PATIENT: Duration = Duration::from_millis(20);
/// How long attempts stay eager.
const PATIENT_AFTER: Duration = Duration::from_secs(5);

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

/// Asks over a new connection each time.
async fn first_of_many(probe: &Probe, address: SocketAddr, until: Instant) -> Result<Instant, String> {
    let from = Instant::now();
    let mut last = "no attempt was finished".to_owned();
    loop {
        match tokio::time::timeout_at(until.into(), ask(probe, address)).await {
            Ok(Ok(())) => return Ok(Instant::now()),
            Ok(Err(error)) => last = error,
            Err(_) => return Err(last),
        }
        let pause = pause(from);
        if Instant::now() + pause >= until {
            return Err(last);
        }
        tokio::time::sleep(pause).await;
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
            tokio::time::sleep(pause).await;
        }
    }
}

/// How long to wait before the next attempt of those that began at `from`.
fn pause(from: Instant) -> Duration {
    if from.elapsed() < PATIENT_AFTER { EAGER } else { PATIENT }
}

#[cfg(test)]
mod tests;
