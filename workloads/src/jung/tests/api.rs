//! The API gateway over real HTTP, with a fake bus.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::jung::api_gateway::{Gateway, health::Probe, router};
use crate::jung::bus::Counts;
use crate::jung::bus::fake::FakeBus;
use crate::jung::bus::topics::Layout;
use crate::jung::client::Client;
use crate::jung::http;
use crate::jung::message::*;

use super::{device, user};

/// A bus on which every task of Anna, who owns `d1`, succeeds.
pub fn happy_bus() -> Arc<FakeBus> {
    let bus = FakeBus::new();
    bus.on::<Auth>(|task| {
        if task["username"] == "anna" && task["password"] == "secret" {
            Ok(Granted {})
        } else {
            Err(Fault::new(FaultKind::Unauthenticated, "no"))
        }
    });
    bus.on::<CreateUser>(|_| Ok(UserCreated {}));
    bus.on::<GetUser>(|task| Ok(user(task["username"].as_str().unwrap(), "secret")));
    bus.on::<AddRule>(|_| Ok(RuleAdded {}));
    bus.on::<CreateDevice>(|_| Ok(DeviceCreated {}));
    bus.on::<GetDevice>(|task| Ok(device(task["device"].as_str().unwrap(), "anna")));
    bus.on::<WriteReading>(|_| Ok(Written { total: 7 }));
    bus.on::<ReadReadings>(|_| {
        Ok(Page {
            total: 9,
            kept: 8,
            readings: vec![Reading {
                timestamp_ms: 5,
                value: 1.5,
            }],
        })
    });
    bus.on::<SendCommand>(|_| Ok(Accepted {}));
    bus.on::<CreateRule>(|_| Ok(RuleCreated {}));
    bus.on::<GetRules>(|_| {
        Ok(Rules {
            rules: vec![Rule {
                id: Uuid::nil(),
                operator: Operator::Less,
                operand: 1.0,
                command: 2.0,
            }],
        })
    });
    bus
}

/// Serves the API on a free port.
pub fn serve(bus: Arc<FakeBus>) -> SocketAddr {
    let listener = http::listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let gateway = Gateway {
        bus,
        counts: Arc::new(Counts::default()),
        probe: Probe::new(Layout::default()),
        device_gateway: "gateway-0".into(),
    };
    tokio::spawn(http::serve(listener, router(Arc::new(gateway)), std::future::pending()));
    address
}

pub fn anna(address: SocketAddr) -> Client {
    Client::new(address, Some(("anna", "secret")))
}

#[tokio::test]
async fn request_is_translated_into_tasks_and_results_into_a_reply() {
    let bus = happy_bus();
    let mut client = anna(serve(bus.clone()));
    let page: Value = client
        .get("/users/anna/devices/d1/readings?page=3&size=5")
        .await
        .unwrap();
    assert_eq!(
        page,
        json!({"device": "d1", "page": 3, "size": 5, "total": 9, "kept": 8,
               "readings": [{"timestamp_ms": 5, "value": 1.5}]})
    );
    let sent = bus.take_sent();
    assert_eq!(
        (sent[0].0.as_str(), sent[1].0.as_str()),
        ("auth-manager AUTH", "device-monitor READ")
    );
    assert_eq!(
        (&sent[0].1["owner"], &sent[0].1["device"]),
        (&"anna".into(), &"d1".into())
    );
    assert_eq!((&sent[1].1["page"], &sent[1].1["size"]), (&3.into(), &5.into()));
}

#[tokio::test]
async fn reply_contains_no_password() {
    let mut client = anna(serve(happy_bus()));
    let (_, body) = client.send(Method::GET, "/users/anna", None).await.unwrap();
    assert_eq!(body, r#"{"username":"anna","devices":[],"rules":[]}"#);
}

#[tokio::test]
async fn rule_is_added_to_the_engine_and_to_its_user() {
    let bus = happy_bus();
    let mut client = anna(serve(bus.clone()));
    let rule = json!({"operator": "!=", "operand": 3, "command": 4});
    let view: Value = client
        .post("/users/anna/devices/d1/rules", &rule, StatusCode::CREATED)
        .await
        .unwrap();
    let sent = bus.take_sent();
    let names: Vec<_> = sent.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["auth-manager AUTH", "rule-engine CREATE", "user-registry ADD_RULE"]
    );
    assert_eq!(
        (&view["rule"], &view["rule"]),
        (&sent[1].1["rule"]["id"], &sent[2].1["rule"])
    );
}

#[tokio::test]
async fn device_gets_an_id_and_the_default_gateway() {
    let bus = happy_bus();
    let mut client = anna(serve(bus.clone()));
    let view: Value = client
        .post("/users/anna/devices", &json!({}), StatusCode::CREATED)
        .await
        .unwrap();
    assert!(Uuid::parse_str(view["id"].as_str().unwrap()).is_ok());
    let create = &bus.take_sent()[1].1;
    assert_eq!(
        (&create["device"], &create["gateway"]),
        (&view["id"], &"gateway-0".into())
    );
}

#[tokio::test]
async fn unauthorized_command_is_not_sent() {
    let bus = happy_bus();
    let mut client = Client::new(serve(bus.clone()), Some(("anna", "wrong")));
    let body = json!({"value": 1}).to_string().into_bytes();
    let (status, _) = client
        .send(Method::POST, "/users/anna/devices/d1/commands", Some(body))
        .await
        .unwrap();
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(bus.take_names(), ["auth-manager AUTH"]);
}

#[tokio::test]
async fn health_names_unavailable_services() {
    let bus = happy_bus();
    bus.on::<Auth>(|_| Err(Fault::timeout(crate::jung::service::Service::AuthManager)));
    let mut client = anna(serve(bus.clone()));
    let (status, body) = client.send(Method::GET, "/health", None).await.unwrap();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(String::from_utf8_lossy(&body).contains("auth-manager"), "{body:?}");
    bus.on::<Auth>(|_| Err(Fault::new(FaultKind::Unauthenticated, "no")));
    loop {
        // The last result is cached for a moment.
        let (status, _) = client.send(Method::GET, "/health", None).await.unwrap();
        if status == StatusCode::OK {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
