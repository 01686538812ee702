//! Health check of the whole platform: pings every partition of every service.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use futures_util::future::{BoxFuture, FutureExt, join_all};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::Gateway;
use super::error::ApiError;
use crate::jung::bus::Bus;
use crate::jung::bus::topics::Layout;
use crate::jung::message::PingOf;
use crate::jung::message::{
    Auth, AuthTask, CommandTask, DeviceTask, Fault, FaultKind, GatewayTask, Password, ReadingTask, RuleTask, Tasks,
    UserName, UserTask,
};
use crate::jung::service::Service;

/// Timeout of a check. Emulated guests on a busy host need seconds to reply; a service that is still starting finds the
/// ping when it is up.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a result is cached, so that frequent probes do not flood the topics.
const CACHE_TTL: Duration = Duration::from_millis(200);

/// The health check and its cached result. Concurrent probes run one after the other.
#[derive(Debug)]
pub struct Probe {
    layout: Layout,
    last: Mutex<Option<(Instant, Vec<String>)>>,
}

/// The reply when all services respond.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthView {
    /// Always `ready`.
    pub status: String,
}

impl Probe {
    /// A probe of all partitions.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        Self {
            layout,
            last: Mutex::default(),
        }
    }

    /// The names of services that do not respond.
    async fn unavailable<B: Bus>(&self, bus: &Arc<B>) -> Vec<String> {
        let mut last = self.last.lock().await;
        if let Some((checked, unavailable)) = &*last
            && checked.elapsed() < CACHE_TTL
        {
            return unavailable.clone();
        }
        let unavailable = check_all(bus, &self.layout).await;
        *last = Some((Instant::now(), unavailable.clone()));
        unavailable
    }
}

/// `GET /health`: 200 if all services respond, otherwise 503 with the names of those that do not.
pub async fn health<B: Bus>(State(gateway): State<Arc<Gateway<B>>>) -> Result<Json<HealthView>, ApiError> {
    let unavailable = gateway.probe.unavailable(&gateway.bus).await;
    if unavailable.is_empty() {
        Ok(Json(HealthView { status: "ready".into() }))
    } else {
        let message = format!("no response from: {}", unavailable.join(", "));
        Err(Fault::new(FaultKind::Overloaded, message).into())
    }
}

async fn check_all<B: Bus>(bus: &Arc<B>, layout: &Layout) -> Vec<String> {
    let mut checks: Vec<BoxFuture<'static, Option<String>>> = Vec::new();
    for service in Service::ALL {
        for partition in 0..layout.task_partitions(service) {
            checks.push(ping(bus, service, partition));
        }
    }
    checks.push(check_auth(Arc::clone(bus)).boxed());
    join_all(checks).await.into_iter().flatten().collect()
}

/// Pings one partition; returns its name if it does not respond.
fn ping<B: Bus>(bus: &Arc<B>, service: Service, partition: i32) -> BoxFuture<'static, Option<String>> {
    let bus = Arc::clone(bus);
    match service {
        Service::ApiGateway => async { None }.boxed(),
        Service::AuthManager => ping_as::<B, AuthTask>(bus, partition).boxed(),
        Service::UserRegistry => ping_as::<B, UserTask>(bus, partition).boxed(),
        Service::DeviceRegistry => ping_as::<B, DeviceTask>(bus, partition).boxed(),
        Service::DeviceMonitor => ping_as::<B, ReadingTask>(bus, partition).boxed(),
        Service::DeviceCommander => ping_as::<B, CommandTask>(bus, partition).boxed(),
        Service::RuleEngine => ping_as::<B, RuleTask>(bus, partition).boxed(),
        Service::DeviceGateway => ping_as::<B, GatewayTask>(bus, partition).boxed(),
    }
}

async fn ping_as<B: Bus, T: Tasks>(bus: Arc<B>, partition: i32) -> Option<String>
where
    PingOf<T>: crate::jung::message::Call,
{
    let pong = tokio::time::timeout(
        PING_TIMEOUT,
        bus.request(Uuid::new_v4(), PingOf::<T>::partition(partition)),
    )
    .await;
    if matches!(pong, Ok(Ok(_))) {
        None
    } else {
        Some(format!("{}/{partition}", T::SERVICE))
    }
}

/// Authenticates a user that does not exist, which makes the auth manager query the user registry.
async fn check_auth<B: Bus>(bus: Arc<B>) -> Option<String> {
    let nobody = UserName::try_from(".health".to_owned()).ok()?;
    let auth = Auth {
        username: nobody.clone(),
        password: Password(String::new()),
        owner: nobody,
        device: None,
    };
    match tokio::time::timeout(PING_TIMEOUT, bus.request(Uuid::new_v4(), auth)).await {
        Ok(Ok(_)) => None,
        Ok(Err(fault)) if fault.kind == FaultKind::Unauthenticated => None,
        _ => Some("auth-manager (querying the user-registry)".into()),
    }
}
