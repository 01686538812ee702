use crate::jung::auth_manager::AuthManager;
use crate::jung::bus::fake::FakeBus;
use crate::jung::message::*;
use std::sync::Arc;

use super::{device, device_id, give, user, user_name};

/// Anna has d1, Bob has d2.
fn town() -> Arc<FakeBus> {
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
async fn who_may_and_who_may_not() {
    for one_by_one in [false, true] {
        let manager = AuthManager::new(town(), one_by_one);
        for (name, password, owner, device, verdict) in [
            ("anna", "secret", "anna", None, None),
            ("anna", "secret", "anna", Some("d1"), None),
            ("anna", "wrong", "anna", None, Some(Kind::Unauthenticated)),
            ("anna", "", "anna", Some("d1"), Some(Kind::Unauthenticated)),
            ("nobody", "secret", "nobody", None, Some(Kind::Unauthenticated)),
            ("nobody", "secret", "nobody", Some("d1"), Some(Kind::Unauthenticated)),
            ("anna", "secret", "bob", None, Some(Kind::Forbidden)),
            ("anna", "secret", "anna", Some("d2"), Some(Kind::Forbidden)),
            ("anna", "secret", "bob", Some("d2"), Some(Kind::Forbidden)),
            ("anna", "secret", "anna", Some("d9"), Some(Kind::NotFound)),
            ("anna", "wrong", "anna", Some("d9"), Some(Kind::Unauthenticated)),
        ] {
            let result = give(&manager, auth(name, password, owner, device)).await;
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
    let bus = town();
    let manager = AuthManager::new(bus.clone(), false);
    for _ in 0..2 {
        give(&manager, auth("anna", "secret", "anna", Some("d1")))
            .await
            .unwrap();
        assert_eq!(bus.take_names(), ["user-registry GET", "device-registry GET"]);
    }
    give(&manager, auth("anna", "secret", "anna", None)).await.unwrap();
    assert_eq!(bus.take_names(), ["user-registry GET"], "no device is involved");
}

#[tokio::test]
async fn one_by_one_asks_nothing_in_vain() {
    let bus = town();
    let manager = AuthManager::new(bus.clone(), true);
    give(&manager, auth("anna", "wrong", "anna", Some("d1")))
        .await
        .unwrap_err();
    assert_eq!(bus.take_names(), ["user-registry GET"]);
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_a_timeout_and_no_refusal() {
    let manager = AuthManager::new(FakeBus::new(), false);
    let fault = give(&manager, auth("anna", "secret", "anna", None)).await.unwrap_err();
    assert_eq!(fault.kind, Kind::Timeout);
    assert!(fault.what.contains("user-registry"));
}
