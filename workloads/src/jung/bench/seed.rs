//! Filling the platform through its API: users, their devices, their rules and first readings; then counting.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::client::{Client, ClientError};
use super::names;
use crate::jung::api_gateway::{PageView, UserView};

/// Readings of one request.
const AT_ONCE: u32 = 500;

/// What to fill in (the parameters of the thesis' RUN).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amounts {
    /// Users.
    pub users: u32,
    /// Devices of each user.
    pub devices: u32,
    /// Rules of each device.
    pub rules: u32,
    /// First readings of each device, one second apart, the last now.
    pub readings: u32,
}

/// Why filling ended early.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// A request failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Something is missing though every request succeeded.
    #[error("{user} has {devices} devices and {rules} rules, not {amounts:?}")]
    Count {
        /// The user.
        user: String,
        /// Devices found.
        devices: usize,
        /// Rules found.
        rules: usize,
        /// What there should be.
        amounts: Amounts,
    },
    /// Readings are missing though every request succeeded.
    #[error("{device} has {total} readings, fewer than {wanted}")]
    Readings {
        /// The device.
        device: String,
        /// Readings found.
        total: u64,
        /// The least there should be.
        wanted: u32,
    },
}

/// Fills the platform, the users in parallel, and counts what is there.
///
/// # Errors
/// [`SeedError`] at the first thing that is not as it should be.
pub async fn seed(gateway: SocketAddr, amounts: Amounts) -> Result<Duration, SeedError> {
    let started = Instant::now();
    try_join_all((0..amounts.users).map(|user| one_user(gateway, user, amounts))).await?;
    Ok(started.elapsed())
}

async fn one_user(gateway: SocketAddr, user: u32, amounts: Amounts) -> Result<(), SeedError> {
    let (name, password) = (names::user(user), names::password(user));
    let mut client = Client::new(gateway, Some((&name, &password)));
    let body = json!({"username": name, "password": password});
    client.post::<Value>("/users", &body, StatusCode::CREATED).await?;
    for number in 0..amounts.devices {
        let device = names::device(user, number);
        let body = json!({"id": device, "value": names::WANTED});
        client
            .post::<Value>(&format!("/users/{name}/devices"), &body, StatusCode::CREATED)
            .await?;
        let path = format!("/users/{name}/devices/{device}");
        let rule = json!({"operator": "==", "operand": names::WANTED, "command": names::WANTED});
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
        let rest = ages.split_off(ages.len().min(usize::try_from(AT_ONCE).unwrap_or(1)));
        let readings: Vec<_> = ages
            .iter()
            .map(|age| json!({"timestamp_ms": now.saturating_sub(age * 1000), "value": names::WANTED}))
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
    let name = names::user(user);
    let view: UserView = client.get(&format!("/users/{name}")).await?;
    let (devices, rules) = (view.devices.len(), view.rules.len());
    let as_wanted = |count: usize, wanted: u64| u64::try_from(count) == Ok(wanted);
    let wanted = u64::from(amounts.devices);
    if !as_wanted(devices, wanted) || !as_wanted(rules, wanted * u64::from(amounts.rules)) {
        return Err(SeedError::Count {
            user: name,
            devices,
            rules,
            amounts,
        });
    }
    for number in 0..if amounts.readings > 0 { amounts.devices } else { 0 } {
        let device = names::device(user, number);
        let page: PageView = client
            .get(&format!("/users/{name}/devices/{device}/readings?size=1"))
            .await?;
        if page.total < u64::from(amounts.readings) {
            return Err(SeedError::Readings {
                device,
                total: page.total,
                wanted: amounts.readings,
            });
        }
    }
    Ok(())
}
