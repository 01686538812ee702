use crate::jung::auth_manager::AuthManager;
use crate::jung::bus::fake::FakeBus;
use crate::jung::message::*;
use std::sync::Arc;

use super::{device, device_id, process, user, user_name};

/// A bus with two users: Anna owns d1, Bob owns d2.
fn two_users() -> Arc<FakeBus> {
    let bus = FakeBus::new();
    bus.on::<GetUser>(|task| match task["username"].as_str().unwrap() {
        name @ ("anna" | "bob") => Ok(user(name, "secret")),
        name => Err(Fault::not_found("user", name)),
    });
    bus.on::<GetDevice>(|task| match task["device"].as_str().unwrap() {
        "d1" => Ok(device("d1", "anna")),
        "d2" => Ok(device("d2", "bob")),
        name => Err(Fault::not_found("device", name)),
    });
    bus
}

fn auth(name: &str, password: &str, owner: &str, device: Option<&str>) -> Auth {
    let password = Password(password.into());
    Auth {
        username: user_name(name),
        password,
        owner: user_name(owner),
        device: device.map(device_id),
    }
}

#[tokio::test]
async fn requests_are_authenticated_and_authorized() {
    for sequential in [false, true] {
        let manager = AuthManager::new(two_users(), sequential);
        for (name, password, owner, device, verdict) in [
            ("anna", "secret", "anna", None, None),
            ("anna", "secret", "anna", Some("d1"), None),
            ("anna", "wrong", "anna", None, Some(FaultKind::Unauthenticated)),
            ("anna", "", "anna", Some("d1"), Some(FaultKind::Unauthenticated)),
            ("nobody", "secret", "nobody", None, Some(FaultKind::Unauthenticated)),
            (
                "nobody",
                "secret",
                "nobody",
                Some("d1"),
                Some(FaultKind::Unauthenticated),
            ),
            ("anna", "secret", "bob", None, Some(FaultKind::Forbidden)),
            ("anna", "secret", "anna", Some("d2"), Some(FaultKind::Forbidden)),
            ("anna", "secret", "bob", Some("d2"), Some(FaultKind::Forbidden)),
            ("anna", "secret", "anna", Some("d9"), Some(FaultKind::NotFound)),
            ("anna", "wrong", "anna", Some("d9"), Some(FaultKind::Unauthenticated)),
        ] {
            let result = process(&manager, auth(name, password, owner, device)).await;
            assert_eq!(
                result.err().map(|fault| fault.kind),
                verdict,
                "{name} {password} {owner} {device:?}"
            );
        }
    }
}

#[tokio::test]
async fn nothing_is_cached() {
    let bus = two_users();
    let manager = AuthManager::new(bus.clone(), false);
    for _ in 0..2 {
        process(&manager, auth("anna", "secret", "anna", Some("d1")))
            .await
            .unwrap();
        assert_eq!(bus.take_names(), ["user-registry GET", "device-registry GET"]);
    }
    process(&manager, auth("anna", "secret", "anna", None)).await.unwrap();
    assert_eq!(bus.take_names(), ["user-registry GET"], "no device is involved");
}

#[tokio::test]
async fn sequential_mode_skips_the_device_after_a_refusal() {
    let bus = two_users();
    let manager = AuthManager::new(bus.clone(), true);
    process(&manager, auth("anna", "wrong", "anna", Some("d1")))
        .await
        .unwrap_err();
    assert_eq!(bus.take_names(), ["user-registry GET"]);
}

#[tokio::test]
async fn unresponsive_registry_is_a_timeout() {
    let manager = AuthManager::new(FakeBus::new(), false);
    let fault = process(&manager, auth("anna", "secret", "anna", None))
        .await
        .unwrap_err();
    assert_eq!(fault.kind, FaultKind::Timeout);
    assert!(fault.message.contains("user-registry"));
}
