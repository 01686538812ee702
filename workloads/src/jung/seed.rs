//! Fills the platform through its API: users, their devices, rules and first readings. Then verifies their number.
//!
//! Load generators derive the same names and credentials from a user's and a device's number.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::api_gateway::{PageView, UserView};
use super::client::{Client, ClientError};

/// Readings per request.
const BATCH: usize = 500;

/// The initial state of all devices, which the rules restore.
pub const INITIAL_STATE: f64 = 20.0;

/// Name of a user, counted from 0.
#[must_use]
pub fn user_name(user: u32) -> String {
    format!("user-{user}")
}

/// Password of a user.
#[must_use]
pub fn password(user: u32) -> String {
    format!("secret-{user}")
}

/// Id of a device of a user, counted from 0.
#[must_use]
pub fn device_id(user: u32, device: u32) -> String {
    format!("device-{user}-{device}")
}

/// What is created: the parameters of the thesis' RUN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct Amounts {
    /// Users
    #[arg(long, default_value_t = 30, value_name = "N")]
    pub users: u32,

    /// Devices of each user
    #[arg(long, default_value_t = 30, value_name = "N")]
    pub devices: u32,

    /// Rules of each device
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub rules: u32,

    /// First readings of each device, one second apart, the last one now
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub readings: u32,
}

/// Why filling failed.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// A request failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Every request succeeded, yet devices or rules are missing.
    #[error("{user} has {devices} devices and {rules} rules, expected {amounts:?}")]
    Count {
        /// The user.
        user: String,
        /// Devices found.
        devices: usize,
        /// Rules found.
        rules: usize,
        /// The expected amounts.
        amounts: Amounts,
    },
    /// Every request succeeded, yet readings are missing.
    #[error("{device} has {total} readings, expected at least {expected}")]
    Readings {
        /// The device.
        device: String,
        /// Readings found.
        total: u64,
        /// The expected minimum.
        expected: u32,
    },
}

/// Fills the platform, all users in parallel, and verifies what was created. Returns the time taken.
///
/// # Errors
/// [`SeedError`], the first one found.
pub async fn seed(gateway: SocketAddr, amounts: Amounts) -> Result<Duration, SeedError> {
    let started = Instant::now();
    try_join_all((0..amounts.users).map(|user| one_user(gateway, user, amounts))).await?;
    Ok(started.elapsed())
}

async fn one_user(gateway: SocketAddr, user: u32, amounts: Amounts) -> Result<(), SeedError> {
    let (name, secret) = (user_name(user), password(user));
    let mut client = Client::new(gateway, Some((&name, &secret)));
    let body = json!({"username": name, "password": secret});
    client.post::<Value>("/users", &body, StatusCode::CREATED).await?;
    for number in 0..amounts.devices {
        let device = device_id(user, number);
        let body = json!({"id": device, "value": INITIAL_STATE});
        client
            .post::<Value>(&format!("/users/{name}/devices"), &body, StatusCode::CREATED)
            .await?;
        let path = format!("/users/{name}/devices/{device}");
        let rule = json!({"operator": "==", "operand": INITIAL_STATE, "command": INITIAL_STATE});
        for _ in 0..amounts.rules {
            client
                .post::<Value>(&format!("{path}/rules"), &rule, StatusCode::CREATED)
                .await?;
        }
        first_readings(&mut client, &path, amounts.readings).await?;
    }
    count(&mut client, user, amounts).await
}

async fn first_readings(client: &mut Client, path: &str, readings: u32) -> Result<(), ClientError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let mut ages: Vec<u64> = (1..=u64::from(readings)).rev().collect();
    while !ages.is_empty() {
        let rest = ages.split_off(ages.len().min(BATCH));
        let readings: Vec<_> = ages
            .iter()
            .map(|age| json!({"timestamp_ms": now.saturating_sub(age * 1000), "value": INITIAL_STATE}))
            .collect();
        let body = json!({"readings": readings});
        client
            .post::<Value>(&format!("{path}/readings"), &body, StatusCode::CREATED)
            .await?;
        ages = rest;
    }
    Ok(())
}

async fn count(client: &mut Client, user: u32, amounts: Amounts) -> Result<(), SeedError> {
    let name = user_name(user);
    let view: UserView = client.get(&format!("/users/{name}")).await?;
    let (devices, rules) = (view.devices.len(), view.rules.len());
    let expected = usize::try_from(amounts.devices).unwrap_or(usize::MAX);
    let rules_each = usize::try_from(amounts.rules).unwrap_or(usize::MAX);
    if devices != expected || rules != expected.saturating_mul(rules_each) {
        return Err(SeedError::Count {
            user: name,
            devices,
            rules,
            amounts,
        });
    }
    for number in 0..if amounts.readings > 0 { amounts.devices } else { 0 } {
        let device = device_id(user, number);
        let page: PageView = client
            .get(&format!("/users/{name}/devices/{device}/readings?size=1"))
            .await?;
        if page.total < u64::from(amounts.readings) {
            return Err(SeedError::Readings {
                device,
                total: page.total,
                expected: amounts.readings,
            });
        }
    }
    Ok(())
}
