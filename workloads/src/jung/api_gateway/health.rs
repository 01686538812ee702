//! Is the whole chain there? Every partition of every service is asked for a sign of life.

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
    Auth, AuthTask, CommandTask, DeviceTask, Fault, GatewayTask, Kind, Password, ReadingTask, RuleTask, Tasks,
    UserName, UserTask,
};
use crate::jung::service::Service;

/// How long one look may take. Emulated guests on a busy host need seconds to answer; one that is not up yet finds the question when it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long its finding is believed, so that impatient probes do not fill the topics.
const BELIEVED: Duration = Duration::from_millis(200);

/// The last look, shared by all who ask; they take turns.
#[derive(Debug)]
pub struct Probe {
    layout: Layout,
    last: Mutex<Option<(Instant, Vec<String>)>>,
}

/// The reply of a chain that is there.
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

    /// Those who do not answer, by name.
    async fn missing<B: Bus>(&self, bus: &Arc<B>) -> Vec<String> {
        let mut last = self.last.lock().await;
        if let Some((when, missing)) = &*last
            && when.elapsed() < BELIEVED
        {
            return missing.clone();
        }
        let missing = look(bus, &self.layout).await;
        *last = Some((Instant::now(), missing.clone()));
        missing
    }
}

/// `GET /health`: 200 if the whole chain answers, else 503 with the names of those who do not.
pub async fn health<B: Bus>(State(gateway): State<Arc<Gateway<B>>>) -> Result<Json<HealthView>, ApiError> {
    let missing = gateway.probe.missing(&gateway.bus).await;
    if missing.is_empty() {
        Ok(Json(HealthView { status: "ready".into() }))
    } else {
        Err(Fault::new(Kind::Overloaded, format!("no answer from: {}", missing.join(", "))).into())
    }
}

async fn look<B: Bus>(bus: &Arc<B>, layout: &Layout) -> Vec<String> {
    let mut questions: Vec<BoxFuture<'static, Option<String>>> = Vec::new();
    for service in Service::ALL {
        for partition in 0..layout.task_partitions(service) {
            questions.push(ping(bus, service, partition));
        }
    }
    questions.push(chain(Arc::clone(bus)).boxed());
    join_all(questions).await.into_iter().flatten().collect()
}

/// Asks one partition; says its name if it does not answer.
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
    let asked = tokio::time::timeout(PATIENCE, bus.ask(Uuid::new_v4(), PingOf::<T>::partition(partition))).await;
    if matches!(asked, Ok(Ok(_))) {
        None
    } else {
        Some(format!("{}/{partition}", T::TO))
    }
}

/// Lets a user log in whom nobody can be: the auth manager has to ask the user registry about him.
async fn chain<B: Bus>(bus: Arc<B>) -> Option<String> {
    let nobody = UserName::try_from(".health".to_owned()).ok()?;
    let auth = Auth {
        username: nobody.clone(),
        password: Password(String::new()),
        owner: nobody,
        device: None,
    };
    match tokio::time::timeout(PATIENCE, bus.ask(Uuid::new_v4(), auth)).await {
        Ok(Ok(_)) => None,
        Ok(Err(fault)) if fault.kind == Kind::Unauthenticated => None,
        _ => Some("auth-manager's way to the user-registry".into()),
    }
}
