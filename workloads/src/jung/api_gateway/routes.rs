//! The routes: authorize, send tasks, reply.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use uuid::Uuid;

use super::Gateway;
use super::error::ApiError;
use super::extract::{Credentials, JsonBody, PathParams, QueryParams};
use crate::jung::bus::Bus;
use crate::jung::bus::Snapshot;
use crate::jung::message::{
    AddRule, Auth, CreateDevice, CreateRule, CreateUser, DeviceId, GetDevice, GetRules, GetUser, Origin, ReadReadings,
    Rule, SendCommand, UserName, WriteReading,
};
use crate::jung::view::{
    CommandBody, CommandView, DeviceBody, DeviceView, PageView, ReadingsBody, RuleBody, RuleView, RulesView, UserBody,
    UserView, WrittenView,
};

/// The state of every route.
type Shared<B> = State<Arc<Gateway<B>>>;

/// The result of a route.
type Reply<T> = Result<T, ApiError>;

/// Default page size.
const DEFAULT_PAGE_SIZE: u32 = 20;

/// Maximum number of readings per write request, about as many as fit into a body.
const MAX_READINGS: usize = 1000;

/// Query parameters of a page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    #[serde(default)]
    page: u32,
    size: Option<u32>,
}

impl<B: Bus> Gateway<B> {
    /// Authorizes a request; returns the trace id of all its tasks.
    async fn authorize(&self, credentials: Credentials, owner: UserName, device: Option<DeviceId>) -> Reply<Uuid> {
        let trace = Uuid::new_v4();
        let Credentials { username, password } = credentials;
        self.bus
            .request(
                trace,
                Auth {
                    username,
                    password,
                    owner,
                    device,
                },
            )
            .await?;
        Ok(trace)
    }
}

pub async fn create_user<B: Bus>(
    State(gateway): Shared<B>,
    JsonBody(body): JsonBody<UserBody>,
) -> Reply<(StatusCode, Json<UserView>)> {
    let UserBody { username, password } = body;
    gateway
        .bus
        .request(
            Uuid::new_v4(),
            CreateUser {
                username: username.clone(),
                password,
            },
        )
        .await?;
    Ok((
        StatusCode::CREATED,
        Json(UserView {
            username,
            devices: Vec::new(),
            rules: Vec::new(),
        }),
    ))
}

pub async fn get_user<B: Bus>(
    State(gateway): Shared<B>,
    credentials: Credentials,
    PathParams(username): PathParams<UserName>,
) -> Reply<Json<UserView>> {
    let trace = gateway.authorize(credentials, username.clone(), None).await?;
    let user = gateway.bus.request(trace, GetUser { username }).await?;
    Ok(Json(user.into()))
}

pub async fn create_device<B: Bus>(
    State(gateway): Shared<B>,
    credentials: Credentials,
    PathParams(owner): PathParams<UserName>,
    JsonBody(body): JsonBody<DeviceBody>,
) -> Reply<(StatusCode, Json<DeviceView>)> {
    let trace = gateway.authorize(credentials, owner.clone(), None).await?;
    let id = match body.id {
        Some(id) => id,
        None => {
            DeviceId::try_from(Uuid::new_v4().to_string()).map_err(|error| ApiError::bad_request(error.to_string()))?
        }
    };
    let device_gateway = body
        .gateway
        .map_or_else(|| gateway.device_gateway.clone(), String::from);
    let view = DeviceView {
        id: id.clone(),
        owner: owner.clone(),
        gateway: device_gateway.clone(),
    };
    gateway
        .bus
        .request(
            trace,
            CreateDevice {
                device: id,
                owner,
                gateway: device_gateway,
                value: body.value,
            },
        )
        .await?;
    Ok((StatusCode::CREATED, Json(view)))
}

pub async fn get_device<B: Bus>(
    State(gateway): Shared<B>,
    credentials: Credentials,
    PathParams((owner, device)): PathParams<(UserName, DeviceId)>,
) -> Reply<Json<DeviceView>> {
    let trace = gateway.authorize(credentials, owner, Some(device.clone())).await?;
    let device = gateway.bus.request(trace, GetDevice { device }).await?;
    Ok(Json(device.into()))
}

pub async fn get_readings<B: Bus>(
    State(gateway): Shared<B>,
    credentials: Credentials,
    PathParams((owner, device)): PathParams<(UserName, DeviceId)>,
    QueryParams(paging): QueryParams<Paging>,
) -> Reply<Json<PageView>> {
    let trace = gateway.authorize(credentials, owner, Some(device.clone())).await?;
    let (page, size) = (paging.page, paging.size.unwrap_or(DEFAULT_PAGE_SIZE));
    let found = gateway
        .bus
        .request(
            trace,
            ReadReadings {
                device: device.clone(),
                page,
                size,
            },
        )
        .await?;
    Ok(Json(PageView {
        device,
        page,
        size,
        total: found.total,
        kept: found.kept,
        readings: found.readings,
    }))
}

pub async fn write_readings<B: Bus>(
    State(gateway): Shared<B>,
    credentials: Credentials,
    PathParams((owner, device)): PathParams<(UserName, DeviceId)>,
    JsonBody(body): JsonBody<ReadingsBody>,
) -> Reply<(StatusCode, Json<WrittenView>)> {
    if !(1..=MAX_READINGS).contains(&body.readings.len()) {
        return Err(ApiError::bad_request(format!(
            "invalid number of readings {}: must be 1 to {MAX_READINGS}",
            body.readings.len()
        )));
    }
    let trace = gateway.authorize(credentials, owner, Some(device.clone())).await?;
    // Sent concurrently; they keep their order because they share a partition.
    let writes = body.readings.into_iter().map(|reading| {
        gateway.bus.request(
            trace,
            WriteReading {
                device: device.clone(),
                reading,
            },
        )
    });
    let written = futures_util::future::try_join_all(writes).await?;
    let total = written.iter().map(|it| it.total).max().unwrap_or(0);
    Ok((StatusCode::CREATED, Json(WrittenView { total })))
}

pub async fn send_command<B: Bus>(
    State(gateway): Shared<B>,
    credentials: Credentials,
    PathParams((owner, device)): PathParams<(UserName, DeviceId)>,
    JsonBody(body): JsonBody<CommandBody>,
) -> Reply<(StatusCode, Json<CommandView>)> {
    let trace = gateway.authorize(credentials, owner, Some(device.clone())).await?;
    let command = Uuid::new_v4();
    let task = SendCommand {
        command,
        device: device.clone(),
        value: body.value,
        origin: Origin::User,
    };
    gateway.bus.request(trace, task).await?;
    Ok((StatusCode::ACCEPTED, Json(CommandView { command, device })))
}

pub async fn create_rule<B: Bus>(
    State(gateway): Shared<B>,
    credentials: Credentials,
    PathParams((owner, device)): PathParams<(UserName, DeviceId)>,
    JsonBody(body): JsonBody<RuleBody>,
) -> Reply<(StatusCode, Json<RuleView>)> {
    let trace = gateway
        .authorize(credentials, owner.clone(), Some(device.clone()))
        .await?;
    let RuleBody {
        operator,
        operand,
        command,
    } = body;
    let rule = Rule {
        id: Uuid::new_v4(),
        operator,
        operand,
        command,
    };
    gateway
        .bus
        .request(
            trace,
            CreateRule {
                device: device.clone(),
                rule,
            },
        )
        .await?;
    gateway
        .bus
        .request(
            trace,
            AddRule {
                username: owner,
                rule: rule.id,
            },
        )
        .await?;
    Ok((StatusCode::CREATED, Json(RuleView { rule: rule.id, device })))
}

pub async fn get_rules<B: Bus>(
    State(gateway): Shared<B>,
    credentials: Credentials,
    PathParams((owner, device)): PathParams<(UserName, DeviceId)>,
) -> Reply<Json<RulesView>> {
    let trace = gateway.authorize(credentials, owner, Some(device.clone())).await?;
    let found = gateway.bus.request(trace, GetRules { device: device.clone() }).await?;
    Ok(Json(RulesView {
        device,
        rules: found.rules,
    }))
}

pub async fn stats<B: Bus>(State(gateway): Shared<B>) -> Json<Snapshot> {
    Json(gateway.counts.snapshot())
}
