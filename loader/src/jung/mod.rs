//! The requests of Fraga's IoT benchmark: what its users send, and the check of each reply.
//!
//! * [`names`] — what users and devices are called, as `workload jung seed` creates them;
//! * [`dataset`] — the requests of a user; [`reply`] — each over HTTP, and whether its reply is right.

pub mod dataset;
pub mod names;
pub mod reply;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use protocol::load::{JungSpec, LoadKind, LoadSpec};

use self::dataset::{Endpoint, Planned, requests};
use self::reply::{Asked, Commanded};
use crate::Engine;
use crate::call::{Call, Label, Message};
use crate::engine::{EngineSpec, extent, paced};
use crate::error::LoadError;
use crate::target::{BodyRule, BodyValidator, Expect, StatusRule};
use crate::users::{Script, Users, UsersPlan};

/// The commands that the platform accepted: each has to reach its device.
#[derive(Clone, Debug, Default)]
pub struct AcceptedCommands(Arc<Mutex<Vec<Commanded>>>);

impl AcceptedCommands {
    /// All of them, so far.
    #[must_use]
    pub fn all(&self) -> Vec<Commanded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Commands that a loader saw accepted.
    pub fn add_all(&self, commanded: impl IntoIterator<Item = Commanded>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(commanded);
    }

    fn add(&self, commanded: Commanded) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(commanded);
    }
}

/// The labels of Jung's calls, in the order of their places.
fn labels(address: SocketAddr) -> Vec<Label> {
    let url = |endpoint| match endpoint {
        Endpoint::GetUser => "/users/<user>",
        Endpoint::GetDevice => "/users/<user>/devices/<device>",
        Endpoint::GetReadings => "/users/<user>/devices/<device>/readings",
        Endpoint::PostCommand => "/users/<user>/devices/<device>/commands",
    };
    let label = |endpoint: Endpoint| Label {
        name: endpoint.label().to_owned(),
        url: format!("http://{address}{}", url(endpoint)),
    };
    Endpoint::ALL.map(label).to_vec()
}

/// The engine of a load on Jung: users who each send their list of the data set, in its order.
///
/// # Errors
/// What is wrong with the plan; a load that is none of users.
pub(crate) fn engine(
    spec: EngineSpec<'_>,
    jung: JungSpec,
    accepted: &AcceptedCommands,
) -> Result<Box<dyn Engine + Send>, LoadError> {
    let EngineSpec {
        load: LoadSpec { kind, wait, .. },
        part,
        seed,
        address,
        ..
    } = spec;
    let LoadKind::Users(load) = kind else {
        return Err(LoadError::Users(
            "Jung's requests are those of users: give it a load of kind users",
        ));
    };
    let (mut all, mut scripts) = (Vec::new(), Vec::new());
    for user in 0..load.users {
        if !part.has(user.into()) {
            scripts.push(Script {
                calls: Vec::new(),
                repeat: false,
            });
            continue;
        }
        let first = u32::try_from(all.len()).unwrap_or(u32::MAX);
        all.extend(calls(jung, user, seed, address, load.keep_alive, accepted)?);
        let list = first..u32::try_from(all.len()).unwrap_or(u32::MAX);
        scripts.push(match load.requests {
            None => Script {
                calls: list.collect(),
                repeat: true,
            },
            Some(requests) => Script {
                calls: list.cycle().take(requests.each as usize).collect(),
                repeat: false,
            },
        });
    }
    let plan = UsersPlan {
        part,
        ..UsersPlan::new(all, labels(address), scripts, extent(load))
    };
    Ok(Box::new(Users::new(paced((load, *wait), seed, plan))?))
}

/// The calls of one user in their order, each with its own check; commands that were accepted go into `accepted`.
///
/// # Errors
/// What would be no request.
fn calls(
    jung: JungSpec,
    user: u32,
    seed: u64,
    address: SocketAddr,
    keep_alive: bool,
    accepted: &AcceptedCommands,
) -> Result<Vec<Call>, LoadError> {
    let credentials = names::credentials(user);
    let planned = requests(seed, user, jung.devices, jung.mix);
    let one = |planned: Planned| {
        let asked = Asked::of(user, &planned);
        let fields = [
            ("Authorization", credentials.as_str()),
            ("Content-Type", "application/json"),
        ];
        let message = Message {
            method: if asked.body.is_some() { "POST" } else { "GET" },
            path: &asked.path,
            fields: if asked.body.is_some() { &fields } else { &fields[..1] },
            body: asked.body.as_deref().unwrap_or_default(),
            keep_alive,
        };
        Ok(Call {
            address,
            label: place(planned.endpoint),
            bytes: message.to_bytes(address)?.into(),
            expect: Expect {
                status: StatusRule::One(planned.endpoint.right_status()),
                ..Expect::ok(BodyRule::Validated(judge(user, jung.devices, planned, accepted)))
            },
        })
    };
    planned.into_iter().map(one).collect()
}

fn judge(user: u32, devices: u32, planned: Planned, accepted: &AcceptedCommands) -> BodyValidator {
    let accepted = accepted.clone();
    BodyValidator::new(move |body| match reply::check(user, devices, &planned, body) {
        Ok(commanded) => {
            commanded.into_iter().for_each(|commanded| accepted.add(commanded));
            true
        }
        Err(_) => false,
    })
}

/// The place of an endpoint among the labels.
fn place(endpoint: Endpoint) -> u16 {
    (0..)
        .zip(Endpoint::ALL)
        .find(|(_, other)| *other == endpoint)
        .map_or(0, |(place, _)| place)
}
