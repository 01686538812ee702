//! One function a route: authenticate, ask, reply.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use uuid::Uuid;

use super::Gateway;
use super::error::ApiError;
use super::extract::{Asked, Body, Credentials, Named};
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

/// What a route replies.
type Reply<T> = Result<T, ApiError>;

/// Readings a page, if the request does not say.
const PAGE: u32 = 20;

/// The most readings that one request may write: as many as fit into a body anyway.
const MOST_READINGS: usize = 1000;

/// Which page is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    #[serde(default)]
    page: u32,
    size: Option<u32>,
}

impl<B: Bus> Gateway<B> {
    /// Asks the auth manager; returns the identity that all tasks of this request carry.
    async fn admit(&self, who: Credentials, owner: UserName, device: Option<DeviceId>) -> Reply<Uuid> {
        let trace = Uuid::new_v4();
        let Credentials { username, password } = who;
        self.bus
            .ask(
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
    Body(body): Body<UserBody>,
) -> Reply<(StatusCode, Json<UserView>)> {
    let UserBody { username, password } = body;
    gateway
        .bus
        .ask(
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
    who: Credentials,
    Named(username): Named<UserName>,
) -> Reply<Json<UserView>> {
    let trace = gateway.admit(who, username.clone(), None).await?;
    let user = gateway.bus.ask(trace, GetUser { username }).await?;
    Ok(Json(user.into()))
}

pub async fn create_device<B: Bus>(
    State(gateway): Shared<B>,
    who: Credentials,
    Named(owner): Named<UserName>,
    Body(body): Body<DeviceBody>,
) -> Reply<(StatusCode, Json<DeviceView>)> {
    let trace = gateway.admit(who, owner.clone(), None).await?;
    let id = match body.id {
        Some(id) => id,
        None => {
            DeviceId::try_from(Uuid::new_v4().to_string()).map_err(|error| ApiError::bad_request(error.to_string()))?
        }
    };
    let hangs_on = body
        .gateway
        .map_or_else(|| gateway.device_gateway.clone(), String::from);
    let view = DeviceView {
        id: id.clone(),
        owner: owner.clone(),
        gateway: hangs_on.clone(),
    };
    gateway
        .bus
        .ask(
            trace,
            CreateDevice {
                device: id,
                owner,
                gateway: hangs_on,
                value: body.value,
            },
        )
        .await?;
    Ok((StatusCode::CREATED, Json(view)))
}

pub async fn get_device<B: Bus>(
    State(gateway): Shared<B>,
    who: Credentials,
    Named((owner, device)): Named<(UserName, DeviceId)>,
) -> Reply<Json<DeviceView>> {
    let trace = gateway.admit(who, owner, Some(device.clone())).await?;
    let device = gateway.bus.ask(trace, GetDevice { device }).await?;
    Ok(Json(device.into()))
}

pub async fn get_readings<B: Bus>(
    State(gateway): Shared<B>,
    who: Credentials,
    Named((owner, device)): Named<(UserName, DeviceId)>,
    Asked(paging): Asked<Paging>,
) -> Reply<Json<PageView>> {
    let trace = gateway.admit(who, owner, Some(device.clone())).await?;
    let (page, size) = (paging.page, paging.size.unwrap_or(PAGE));
    let found = gateway
        .bus
        .ask(
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
    who: Credentials,
    Named((owner, device)): Named<(UserName, DeviceId)>,
    Body(body): Body<ReadingsBody>,
) -> Reply<(StatusCode, Json<WrittenView>)> {
    if !(1..=MOST_READINGS).contains(&body.readings.len()) {
        return Err(ApiError::bad_request(format!(
            "1 to {MOST_READINGS} readings can be written at once"
        )));
    }
    let trace = gateway.admit(who, owner, Some(device.clone())).await?;
    // All at once: they keep their order, as they go the same way.
    let writes = body.readings.into_iter().map(|reading| {
        gateway.bus.ask(
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
    who: Credentials,
    Named((owner, device)): Named<(UserName, DeviceId)>,
    Body(body): Body<CommandBody>,
) -> Reply<(StatusCode, Json<CommandView>)> {
    let trace = gateway.admit(who, owner, Some(device.clone())).await?;
    let command = Uuid::new_v4();
    let task = SendCommand {
        command,
        device: device.clone(),
        value: body.value,
        origin: Origin::User,
    };
    gateway.bus.ask(trace, task).await?;
    Ok((StatusCode::ACCEPTED, Json(CommandView { command, device })))
}

pub async fn create_rule<B: Bus>(
    State(gateway): Shared<B>,
    who: Credentials,
    Named((owner, device)): Named<(UserName, DeviceId)>,
    Body(body): Body<RuleBody>,
) -> Reply<(StatusCode, Json<RuleView>)> {
    let trace = gateway.admit(who, owner.clone(), Some(device.clone())).await?;
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
        .ask(
            trace,
            CreateRule {
                device: device.clone(),
                rule,
            },
        )
        .await?;
    gateway
        .bus
        .ask(
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
    who: Credentials,
    Named((owner, device)): Named<(UserName, DeviceId)>,
) -> Reply<Json<RulesView>> {
    let trace = gateway.admit(who, owner, Some(device.clone())).await?;
    let found = gateway.bus.ask(trace, GetRules { device: device.clone() }).await?;
    Ok(Json(RulesView {
        device,
        rules: found.rules,
    }))
}

pub async fn stats<B: Bus>(State(gateway): Shared<B>) -> Json<Snapshot> {
    Json(gateway.counts.snapshot())
}
