//! API gateway (section 4.1.1): translates HTTP requests into tasks, and their results into replies.
//!
//! Every request but the first of a user (`POST /users`) is first put to the auth manager.

mod error;
mod extract;
pub mod health;
mod openapi;
mod routes;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use super::bus::{Bus, Counts};
use health::Probe;

pub use super::view::{
    CommandBody, CommandView, DeviceBody, DeviceView, PageView, ReadingsBody, RuleBody, RuleView, RulesView, UserBody,
    UserView,
};
pub use openapi::DOCUMENT;

/// The largest body of a request, bytes; a larger one is answered 413.
pub const LARGEST_BODY: usize = 64 * 1024;

/// What all requests share.
#[derive(Debug)]
pub struct Gateway<B> {
    /// The bus.
    pub bus: Arc<B>,
    /// What happened on it, for `GET /stats`.
    pub counts: Arc<Counts>,
    /// Whether the whole chain answers.
    pub probe: Probe,
    /// The device gateway of devices whose request names none.
    pub device_gateway: String,
}

/// All routes.
pub fn router<B: Bus>(gateway: Arc<Gateway<B>>) -> Router {
    Router::new()
        .route("/users", post(routes::create_user))
        .route("/users/{user}", get(routes::get_user))
        .route("/users/{user}/devices", post(routes::create_device))
        .route("/users/{user}/devices/{device}", get(routes::get_device))
        .route(
            "/users/{user}/devices/{device}/readings",
            get(routes::get_readings).post(routes::write_readings),
        )
        .route("/users/{user}/devices/{device}/commands", post(routes::send_command))
        .route(
            "/users/{user}/devices/{device}/rules",
            get(routes::get_rules).post(routes::create_rule),
        )
        .route("/health", get(health::health))
        .route("/stats", get(routes::stats))
        .route("/openapi.json", get(openapi::document))
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(gateway)
}
