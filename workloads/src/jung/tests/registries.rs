use crate::jung::bus::fake::FakeBus;
use crate::jung::device_registry::DeviceRegistry;
use crate::jung::handler::Handler;
use crate::jung::message::*;
use crate::jung::user_registry::UserRegistry;
use uuid::Uuid;

use super::{context, device_id, process, user_name};

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
    let answer = process(
        registry,
        GetUser {
            username: user_name(name),
        },
    )
    .await?;
    Ok(GetUser::reply(answer).unwrap())
}

#[tokio::test]
async fn user_is_created_once_and_gets_devices_and_rules() {
    let registry = UserRegistry::default();
    process(&registry, create_user("anna")).await.unwrap();
    assert_eq!(
        process(&registry, create_user("anna")).await.unwrap_err().kind,
        FaultKind::Conflict
    );
    let rule = Uuid::new_v4();
    for _ in 0..2 {
        process(
            &registry,
            AddDevice {
                username: user_name("anna"),
                device: device_id("d"),
            },
        )
        .await
        .unwrap();
        process(
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
async fn unknown_users_are_not_found() {
    let registry = UserRegistry::default();
    assert_eq!(get_user(&registry, "bob").await.unwrap_err().kind, FaultKind::NotFound);
    let add = AddDevice {
        username: user_name("bob"),
        device: device_id("d"),
    };
    assert_eq!(process(&registry, add).await.unwrap_err().kind, FaultKind::NotFound);
    let add = AddRule {
        username: user_name("bob"),
        rule: Uuid::nil(),
    };
    assert_eq!(process(&registry, add).await.unwrap_err().kind, FaultKind::NotFound);
}

#[tokio::test]
async fn create_is_idempotent() {
    let (registry, at) = (UserRegistry::default(), context());
    for _ in 0..2 {
        registry.handle(at, create_user("anna").into_task()).await.unwrap();
    }
}

#[tokio::test]
async fn users_are_recovered_by_replay() {
    let registry = UserRegistry::default();
    registry.replay(context(), create_user("anna").into_task());
    registry.replay(context(), create_user("anna").into_task()); // was refused
    registry.replay(
        context(),
        AddDevice {
            username: user_name("anna"),
            device: device_id("d"),
        }
        .into_task(),
    );
    registry.replay(
        context(),
        GetUser {
            username: user_name("anna"),
        }
        .into_task(),
    );
    assert_eq!(get_user(&registry, "anna").await.unwrap().devices, [device_id("d")]);
}

fn happy_bus() -> std::sync::Arc<FakeBus> {
    let bus = FakeBus::new();
    bus.on::<AddDevice>(|_| Ok(DeviceAdded {}));
    bus.on::<Attach>(|_| Ok(Attached {}));
    bus
}

#[tokio::test]
async fn device_is_added_to_its_owner_and_attached_to_its_gateway() {
    let bus = happy_bus();
    let registry = DeviceRegistry::new(bus.clone());
    process(&registry, create_device("d")).await.unwrap();
    let sent = bus.take_sent();
    assert_eq!(sent[0].0, "user-registry ADD_DEVICE");
    assert_eq!(sent[0].1["username"], "anna");
    assert_eq!(sent[1].0, "device-gateway ATTACH");
    assert_eq!((&sent[1].1["gateway"], &sent[1].1["value"]), (&"g".into(), &1.0.into()));
    let found = GetDevice::reply(process(&registry, GetDevice { device: device_id("d") }).await.unwrap()).unwrap();
    assert_eq!((found.owner, found.gateway), (user_name("anna"), "g".to_owned()));
    assert_eq!(
        process(&registry, create_device("d")).await.unwrap_err().kind,
        FaultKind::Conflict
    );
    assert!(bus.take_names().is_empty(), "a conflict sends no tasks");
}

#[tokio::test]
async fn device_of_an_unknown_owner_is_removed_here_and_in_the_log() {
    let bus = happy_bus();
    bus.on::<AddDevice>(|_| Err(Fault::not_found("user", "anna")));
    let registry = DeviceRegistry::new(bus.clone());
    assert_eq!(
        process(&registry, create_device("d")).await.unwrap_err().kind,
        FaultKind::NotFound
    );
    assert_eq!(
        bus.take_names(),
        ["user-registry ADD_DEVICE", "device-registry ABANDON"]
    );
    let get = GetDevice { device: device_id("d") };
    assert_eq!(
        process(&registry, get.clone()).await.unwrap_err().kind,
        FaultKind::NotFound
    );

    let successor = DeviceRegistry::new(bus);
    successor.replay(context(), create_device("d").into_task());
    successor.replay(context(), create_device("e").into_task());
    successor.replay(context(), AbandonDevice { device: device_id("d") }.into_task());
    assert_eq!(process(&successor, get).await.unwrap_err().kind, FaultKind::NotFound);
    process(&successor, GetDevice { device: device_id("e") }).await.unwrap();
}

#[tokio::test]
async fn unresponsive_gateway_is_a_timeout_and_create_can_be_repeated() {
    let bus = FakeBus::new();
    bus.on::<AddDevice>(|_| Ok(DeviceAdded {}));
    let (registry, at) = (DeviceRegistry::new(bus.clone()), context());
    let create = || create_device("d").into_task();
    assert_eq!(
        registry.handle(at, create()).await.unwrap_err().kind,
        FaultKind::Timeout
    );
    bus.on::<Attach>(|_| Ok(Attached {}));
    registry.handle(at, create()).await.unwrap();
}
