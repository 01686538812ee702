use crate::jung::bus::fake::FakeBus;
use crate::jung::device_registry::DeviceRegistry;
use crate::jung::handler::Handler;
use crate::jung::message::*;
use crate::jung::user_registry::UserRegistry;
use uuid::Uuid;

use super::{at, device_id, give, user_name};

fn create_user(name: &str) -> CreateUser {
    CreateUser {
        username: user_name(name),
        password: Password("p".into()),
    }
}

fn create_device(name: &str) -> CreateDevice {
    CreateDevice {
        device: device_id(name),
        owner: user_name("anna"),
        gateway: "g".into(),
        value: 1.0,
    }
}

async fn get_user(registry: &UserRegistry, name: &str) -> Result<User, Fault> {
    let answer = give(
        registry,
        GetUser {
            username: user_name(name),
        },
    )
    .await?;
    Ok(GetUser::reply(answer).unwrap())
}

#[tokio::test]
async fn a_user_is_made_once_and_gets_devices_and_rules() {
    let registry = UserRegistry::default();
    give(&registry, create_user("anna")).await.unwrap();
    assert_eq!(
        give(&registry, create_user("anna")).await.unwrap_err().kind,
        Kind::Conflict
    );
    let rule = Uuid::new_v4();
    for _ in 0..2 {
        give(
            &registry,
            AddDevice {
                username: user_name("anna"),
                device: device_id("d"),
            },
        )
        .await
        .unwrap();
        give(
            &registry,
            AddRule {
                username: user_name("anna"),
                rule,
            },
        )
        .await
        .unwrap();
    }
    let anna = get_user(&registry, "anna").await.unwrap();
    assert_eq!((anna.devices, anna.rules), (vec![device_id("d")], vec![rule]));
}

#[tokio::test]
async fn who_is_unknown_stays_so() {
    let registry = UserRegistry::default();
    assert_eq!(get_user(&registry, "bob").await.unwrap_err().kind, Kind::NotFound);
    let add = AddDevice {
        username: user_name("bob"),
        device: device_id("d"),
    };
    assert_eq!(give(&registry, add).await.unwrap_err().kind, Kind::NotFound);
    let add = AddRule {
        username: user_name("bob"),
        rule: Uuid::nil(),
    };
    assert_eq!(give(&registry, add).await.unwrap_err().kind, Kind::NotFound);
}

#[tokio::test]
async fn the_same_create_twice_succeeds_twice() {
    let (registry, at) = (UserRegistry::default(), at());
    for _ in 0..2 {
        registry.handle(at, create_user("anna").into_task()).await.unwrap();
    }
}

#[tokio::test]
async fn who_takes_over_users_knows_them() {
    let registry = UserRegistry::default();
    registry.replay(at(), create_user("anna").into_task());
    registry.replay(at(), create_user("anna").into_task()); // was refused
    registry.replay(
        at(),
        AddDevice {
            username: user_name("anna"),
            device: device_id("d"),
        }
        .into_task(),
    );
    registry.replay(
        at(),
        GetUser {
            username: user_name("anna"),
        }
        .into_task(),
    );
    assert_eq!(get_user(&registry, "anna").await.unwrap().devices, [device_id("d")]);
}

fn willing() -> std::sync::Arc<FakeBus> {
    let bus = FakeBus::new();
    bus.on::<AddDevice>(|_| Ok(DeviceAdded {}));
    bus.on::<Attach>(|_| Ok(Attached {}));
    bus
}

#[tokio::test]
async fn a_device_is_introduced_to_its_owner_and_its_gateway() {
    let bus = willing();
    let registry = DeviceRegistry::new(bus.clone());
    give(&registry, create_device("d")).await.unwrap();
    let sent = bus.take_sent();
    assert_eq!(sent[0].0, "user-registry ADD_DEVICE");
    assert_eq!(sent[0].1["username"], "anna");
    assert_eq!(sent[1].0, "device-gateway ATTACH");
    assert_eq!((&sent[1].1["gateway"], &sent[1].1["value"]), (&"g".into(), &1.0.into()));
    let found = GetDevice::reply(give(&registry, GetDevice { device: device_id("d") }).await.unwrap()).unwrap();
    assert_eq!((found.owner, found.gateway), (user_name("anna"), "g".to_owned()));
    assert_eq!(
        give(&registry, create_device("d")).await.unwrap_err().kind,
        Kind::Conflict
    );
    assert!(bus.take_names().is_empty(), "a conflict bothers nobody");
}

#[tokio::test]
async fn a_device_of_nobody_is_forgotten_here_and_in_the_log() {
    let bus = willing();
    bus.on::<AddDevice>(|_| Err(Fault::not_found("user", "anna")));
    let registry = DeviceRegistry::new(bus.clone());
    assert_eq!(
        give(&registry, create_device("d")).await.unwrap_err().kind,
        Kind::NotFound
    );
    assert_eq!(
        bus.take_names(),
        ["user-registry ADD_DEVICE", "device-registry ABANDON"]
    );
    let get = GetDevice { device: device_id("d") };
    assert_eq!(give(&registry, get.clone()).await.unwrap_err().kind, Kind::NotFound);

    let heir = DeviceRegistry::new(bus);
    heir.replay(at(), create_device("d").into_task());
    heir.replay(at(), create_device("e").into_task());
    heir.replay(at(), AbandonDevice { device: device_id("d") }.into_task());
    assert_eq!(give(&heir, get).await.unwrap_err().kind, Kind::NotFound);
    give(&heir, GetDevice { device: device_id("e") }).await.unwrap();
}

#[tokio::test]
async fn a_gateway_that_does_not_answer_is_a_timeout_and_the_create_can_be_repeated() {
    let bus = FakeBus::new();
    bus.on::<AddDevice>(|_| Ok(DeviceAdded {}));
    let (registry, at) = (DeviceRegistry::new(bus.clone()), at());
    let create = || create_device("d").into_task();
    assert_eq!(registry.handle(at, create()).await.unwrap_err().kind, Kind::Timeout);
    bus.on::<Attach>(|_| Ok(Attached {}));
    registry.handle(at, create()).await.unwrap();
}
