//! API gateway (section 4.1.1): translates HTTP requests into tasks, and results into replies.
//!
//! Every request except `POST /users` is first authorized by the auth manager.

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

/// Maximum size of a request body in bytes; a larger one is refused with 413.
pub const MAX_BODY: usize = 64 * 1024;

/// The state shared by all requests.
#[derive(Debug)]
pub struct Gateway<B> {
    /// The bus.
    pub bus: Arc<B>,
    /// The bus's counters, for `GET /stats`.
    pub counts: Arc<Counts>,
    /// The health check.
    pub probe: Probe,
    /// Default device gateway of new devices.
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
        .fallback(error::unknown_path)
        .method_not_allowed_fallback(error::unsupported_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(gateway)
}
