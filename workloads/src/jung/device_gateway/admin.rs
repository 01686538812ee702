//! What a check of the truth asks a device gateway, over HTTP.
//!
//! `GET /devices`: every device with state, readings and commands. `GET /commands?from=&most=`: the book from a number on.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

use super::book::Book;
use crate::jung::record::{Commands, Devices};

/// The most commands of one reply.
const MOST: usize = 10_000;

/// Which commands are wanted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    #[serde(default)]
    from: u64,
    most: Option<usize>,
}

type Shared = Arc<Mutex<Book>>;

/// The routes.
pub fn router(book: Shared) -> Router {
    Router::new()
        .route("/devices", get(devices))
        .route("/commands", get(commands))
        .with_state(book)
}

async fn devices(State(book): State<Shared>) -> Json<Devices> {
    let book = book.lock().unwrap_or_else(PoisonError::into_inner);
    Json(Devices {
        now_ns: book.now_ns(),
        devices: book.devices(),
    })
}

async fn commands(State(book): State<Shared>, Query(which): Query<Which>) -> Json<Commands> {
    let book = book.lock().unwrap_or_else(PoisonError::into_inner);
    let commands = book.commands(which.from, which.most.unwrap_or(MOST).min(MOST));
    Json(Commands {
        now_ns: book.now_ns(),
        dropped: book.dropped(),
        commands,
    })
}
