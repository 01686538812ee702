//! The load of the thesis: users who each send their list in order, the next request when the last is answered.
//!
//! Status and body of every reply are checked; a wrong body is a failed request.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use bytes::Bytes;
use futures_util::future::join_all;
use uuid::Uuid;

use super::client::{Client, ClientError, read};
use super::dataset::{Endpoint, Mix, Planned, requests};
use super::names;
use crate::jung::api_gateway::{CommandBody, CommandView, DeviceView, PageView, UserView};

/// Readings a page that are asked for.
const PAGE: usize = 20;

/// The load.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Users, all at a time.
    pub users: u32,
    /// Devices of each.
    pub devices: u32,
    /// What each sends.
    pub mix: Mix,
    /// Where the choice of devices and values comes from.
    pub seed: u64,
    /// The time between a reply and the next request.
    pub think: Duration,
}

/// A request that was sent.
#[derive(Debug)]
pub struct Sent {
    /// Its sort.
    pub endpoint: Endpoint,
    /// From sending to the last byte of the reply.
    pub took: Duration,
    /// What was wrong, if anything.
    pub failure: Option<String>,
}

/// A command that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commanded {
    /// Its identity.
    pub command: Uuid,
    /// The device.
    pub device: String,
}

/// What became of the load.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Every request.
    pub sent: Vec<Sent>,
    /// Every command that was accepted.
    pub commands: Vec<Commanded>,
    /// From the first request to the last reply.
    pub took: Duration,
}

/// Sends the load.
pub async fn drive(gateway: SocketAddr, load: Load) -> Outcome {
    let started = Instant::now();
    let users = join_all((0..load.users).map(|user| one_user(gateway, load, user))).await;
    let mut all = Outcome {
        took: started.elapsed(),
        ..Outcome::default()
    };
    for user in users {
        all.sent.extend(user.sent);
        all.commands.extend(user.commands);
    }
    all
}

async fn one_user(gateway: SocketAddr, load: Load, user: u32) -> Outcome {
    let (name, password) = (names::user(user), names::password(user));
    let mut client = Client::new(gateway, Some((&name, &password)));
    let mut outcome = Outcome::default();
    for planned in requests(load.seed, user, load.devices, load.mix) {
        let (method, path, body) = request(&name, &planned);
        let started = Instant::now();
        let reply = client.send(method, &path, body).await;
        let took = started.elapsed();
        let checked = reply.and_then(|(status, body)| check(&load, user, &planned, &path, status, &body));
        let failure = match checked {
            Ok(commanded) => {
                outcome.commands.extend(commanded);
                None
            }
            Err(error) => Some(error.to_string()),
        };
        outcome.sent.push(Sent {
            endpoint: planned.endpoint,
            took,
            failure,
        });
        if !load.think.is_zero() {
            tokio::time::sleep(load.think).await;
        }
    }
    outcome
}

fn request(user: &str, planned: &Planned) -> (Method, String, Option<Vec<u8>>) {
    let device = format!("/users/{user}/devices/{}", planned.device);
    match planned.endpoint {
        Endpoint::GetUser => (Method::GET, format!("/users/{user}"), None),
        Endpoint::GetDevice => (Method::GET, device, None),
        Endpoint::GetReadings => (Method::GET, format!("{device}/readings?page=0&size={PAGE}"), None),
        Endpoint::PostCommand => {
            let body = serde_json::to_vec(&CommandBody { value: planned.value }).ok();
            (Method::POST, format!("{device}/commands"), body)
        }
    }
}

/// Is it the right user, the right device, a full page, an accepted command?
fn check(
    load: &Load,
    user: u32,
    planned: &Planned,
    path: &str,
    status: StatusCode,
    body: &Bytes,
) -> Result<Option<Commanded>, ClientError> {
    let wrong = |why: String| {
        Err(ClientError::Body {
            what: path.to_owned(),
            why,
        })
    };
    let name = names::user(user);
    match planned.endpoint {
        Endpoint::GetUser => {
            let view: UserView = read(path, StatusCode::OK, status, body)?;
            if view.username.as_str() != name || u32::try_from(view.devices.len()) != Ok(load.devices) {
                return wrong(format!("it is {} with {} devices", view.username, view.devices.len()));
            }
        }
        Endpoint::GetDevice => {
            let view: DeviceView = read(path, StatusCode::OK, status, body)?;
            if view.id.as_str() != planned.device || view.owner.as_str() != name {
                return wrong(format!("it is {} of {}", view.id, view.owner));
            }
        }
        Endpoint::GetReadings => {
            let view: PageView = read(path, StatusCode::OK, status, body)?;
            let full = usize::try_from(view.kept).unwrap_or(usize::MAX).min(PAGE);
            let ordered = view
                .readings
                .is_sorted_by(|newer, older| newer.timestamp_ms >= older.timestamp_ms);
            if view.device.as_str() != planned.device || view.readings.len() != full || !ordered {
                return wrong(format!("it has {} readings of {}", view.readings.len(), view.device));
            }
        }
        Endpoint::PostCommand => {
            let view: CommandView = read(path, StatusCode::ACCEPTED, status, body)?;
            if view.device.as_str() != planned.device {
                return wrong(format!("the command is for {}", view.device));
            }
            return Ok(Some(Commanded {
                command: view.command,
                device: planned.device.clone(),
            }));
        }
    }
    Ok(None)
}
