//! HTTP interface for validating results: the state of devices and the command log.
//!
//! `GET /devices`: every device with its state and counters. `GET /commands?from=&most=`: the command log from a sequence
//! number, at most `most` entries.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

use super::simulation::Simulation;
use crate::jung::record::{Commands, Devices};

/// Maximum number of commands per reply.
const MAX_COMMANDS: usize = 10_000;

/// Query parameters of `GET /commands`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandsQuery {
    #[serde(default)]
    from: u64,
    most: Option<usize>,
}

type Shared = Arc<Mutex<Simulation>>;

/// The routes.
pub fn router(simulation: Shared) -> Router {
    Router::new()
        .route("/devices", get(devices))
        .route("/commands", get(commands))
        .with_state(simulation)
}

async fn devices(State(simulation): State<Shared>) -> Json<Devices> {
    let simulation = simulation.lock().unwrap_or_else(PoisonError::into_inner);
    Json(Devices {
        now_ns: simulation.now_ns(),
        devices: simulation.devices(),
    })
}

async fn commands(State(simulation): State<Shared>, Query(query): Query<CommandsQuery>) -> Json<Commands> {
    let simulation = simulation.lock().unwrap_or_else(PoisonError::into_inner);
    let commands = simulation.commands(query.from, query.most.unwrap_or(MAX_COMMANDS).min(MAX_COMMANDS));
    Json(Commands {
        now_ns: simulation.now_ns(),
        dropped: simulation.dropped(),
        commands,
    })
}
