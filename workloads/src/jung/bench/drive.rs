//! The load of the thesis: users who each send their list in order, the next request when the last is answered.
//!
//! Status and body of every reply are checked; a wrong body is a failed request.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use futures_util::future::join_all;

use super::client::{Client, ClientError};
use super::dataset::{Endpoint, Mix, Planned, requests};
use super::names;
use super::reply::{self, Asked, Commanded};

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
        let asked = Asked::of(user, &planned);
        let method = if asked.body.is_some() {
            Method::POST
        } else {
            Method::GET
        };
        let started = Instant::now();
        let reply = client.send(method, &asked.path, asked.body.clone()).await;
        let took = started.elapsed();
        let checked = reply.and_then(|(status, body)| check(&load, user, &planned, &asked, status, &body));
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

fn check(
    load: &Load,
    user: u32,
    planned: &Planned,
    asked: &Asked,
    status: StatusCode,
    body: &[u8],
) -> Result<Option<Commanded>, ClientError> {
    if status.as_u16() != planned.endpoint.right_status() {
        return Err(ClientError::of_status(&asked.path, status, body));
    }
    reply::check(user, load.devices, planned, body).map_err(|why| ClientError::Body {
        what: asked.path.clone(),
        why,
    })
}
