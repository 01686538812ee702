//! Checks the OpenAPI document against the API: every documented status of every path is provoked over HTTP.

use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::jung::api_gateway::DOCUMENT;
use crate::jung::bus::fake::FakeBus;
use crate::jung::message::*;

use super::api::{happy_bus, serve};

/// What provokes a status: the bus behind the API, and the deviations of the request.
struct Cause {
    bus: Arc<FakeBus>,
    path: fn(&str) -> String,
    authorization: &'static str,
    body: fn(&str) -> String,
    more_headers: usize,
}

/// `anna:secret`
const ANNA: &str = "Authorization: Basic YW5uYTpzZWNyZXQ=\r\n";

fn good_path(path: &str) -> String {
    path.replace("{user}", "anna").replace("{device}", "d1")
}

fn good_body(operation: &str) -> String {
    match operation {
        "createUser" => r#"{"username":"anna","password":"secret"}"#,
        "createDevice" => r#"{"id":"d1","value":1}"#,
        "writeReadings" => r#"{"readings":[{"timestamp_ms":1,"value":2}]}"#,
        "sendCommand" => r#"{"value":30}"#,
        "createRule" => r#"{"operator":"==","operand":20,"command":20}"#,
        _ => "",
    }
    .to_owned()
}

/// A bus on which authorization fails with this kind of fault.
fn refusing_bus(kind: FaultKind) -> Arc<FakeBus> {
    let bus = happy_bus();
    bus.on::<Auth>(move |_| Err(Fault::new(kind, "refused by the test")));
    bus.on::<CreateUser>(move |_| Err(Fault::new(kind, "refused by the test")));
    bus
}

fn cause(status: &str, operation: &str) -> Cause {
    let good = Cause {
        bus: happy_bus(),
        path: good_path,
        authorization: ANNA,
        body: good_body,
        more_headers: 0,
    };
    match status {
        "200" if operation == "health" => Cause {
            bus: refusing_bus(FaultKind::Unauthenticated),
            ..good
        },
        "200" | "201" | "202" => good,
        "400" => Cause {
            path: |path| good_path(&path.replace("{user}", "an%20na")),
            body: |_| "{".into(),
            ..good
        },
        "401" => Cause {
            authorization: "",
            ..good
        },
        "403" => Cause {
            bus: refusing_bus(FaultKind::Forbidden),
            ..good
        },
        "404" => Cause {
            bus: refusing_bus(FaultKind::NotFound),
            ..good
        },
        "409" => {
            let bus = happy_bus();
            bus.on::<CreateUser>(|_| Err(Fault::conflict("user", "anna")));
            bus.on::<CreateDevice>(|_| Err(Fault::conflict("device", "d1")));
            bus.on::<CreateRule>(|_| Err(Fault::conflict("rule", "r1")));
            Cause { bus, ..good }
        }
        "413" => Cause {
            body: |_| " ".repeat(65537),
            ..good
        },
        "431" => Cause {
            more_headers: 100,
            ..good
        },
        "503" => Cause {
            bus: refusing_bus(FaultKind::Overloaded),
            ..good
        },
        "504" => Cause {
            bus: FakeBus::new(),
            ..good
        },
        _ => panic!("documented status {status} cannot be provoked by this test"),
    }
}

/// Sends the request and returns status and body.
async fn answer(cause: &Cause, method: &str, path: &str, operation: &str) -> (String, String) {
    let mut stream = TcpStream::connect(serve(cause.bus.clone())).await.unwrap();
    let body = if method == "post" {
        (cause.body)(operation)
    } else {
        String::new()
    };
    let more: String = (0..cause.more_headers)
        .map(|number| format!("x-{number}: y\r\n"))
        .collect();
    let request = format!(
        "{} {} HTTP/1.1\r\nHost: jung\r\nConnection: close\r\nContent-Length: {}\r\n{}{more}\r\n{body}",
        method.to_uppercase(),
        (cause.path)(path),
        body.len(),
        cause.authorization,
    );
    // The server may reply and close before it has read everything.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply).await;
    let reply = String::from_utf8(reply).unwrap();
    let status = reply.split(' ').nth(1).unwrap_or_default().to_owned();
    let body = reply.split_once("\r\n\r\n").unwrap_or_default().1.to_owned();
    (status, body)
}

/// Resolves a reference.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document
            .pointer(&reference[1..])
            .unwrap_or_else(|| panic!("unresolved reference {reference}")),
        None => value,
    }
}

/// Asserts that a body has exactly the members of its schema.
fn assert_matches_schema(document: &Value, response: &Value, body: &str, what: &str) {
    let schema = &resolve(document, response)["content"]["application/json"]["schema"];
    let Some(properties) = resolve(document, schema)["properties"].as_object() else {
        return;
    };
    let body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{what}: {error}: {body}"));
    let mut members: Vec<_> = body.as_object().unwrap().keys().collect();
    let mut named: Vec<_> = properties.keys().collect();
    members.sort();
    named.sort();
    assert_eq!(members, named, "{what}");
}

#[tokio::test]
async fn every_documented_status_is_returned() {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let (mut provoked, mut with_body) = (0, 0);
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            for (status, response) in operation["responses"].as_object().unwrap() {
                let what = format!("{method} {path} {status}");
                let (answered, body) = answer(&cause(status, id), method, path, id).await;
                assert_eq!(&answered, status, "{what}: {body}");
                assert_matches_schema(&document, response, &body, &what);
                provoked += 1;
                with_body += usize::from(resolve(&document, response)["content"].is_object());
            }
        }
    }
    assert!(
        provoked > 60 && with_body > 50,
        "{provoked}, {with_body} of them with a body"
    );
}

#[tokio::test]
async fn undocumented_paths_and_methods_are_refused() {
    let good = cause("200", "getUser");
    for (method, path, status) in [
        ("get", "/", "404"),
        ("get", "/users/", "404"),
        ("get", "/users/anna/devices", "405"),
        ("delete", "/users/anna", "405"),
        ("put", "/users", "405"),
        ("get", "/users/anna/devices/d1/secrets", "404"),
    ] {
        let (answered, body) = answer(&good, method, path, "").await;
        assert_eq!(answered, status, "{method} {path}");
        assert!(serde_json::from_str::<Value>(&body).unwrap()["message"].is_string());
    }
}
