//! What `workload jung` and the harness agree on without sharing code: names, credentials, the JSON of the API.

use controller::config::Service;
use loader::jung::dataset::{Endpoint, Planned};
use loader::jung::names;
use loader::jung::reply::{Asked, Commanded, check};
use uuid::Uuid;
use workloads::jung::message::{DeviceId, Reading, UserName};
use workloads::jung::view::{CommandBody, CommandView, DeviceView, PageView, UserView};
use workloads::jung::{seed, service};

#[test]
fn the_load_uses_the_names_that_seed_creates() {
    for number in [0, 7, 29] {
        assert_eq!(seed::user_name(number), names::user(number));
        assert_eq!(seed::password(number), names::password(number));
        assert_eq!(seed::device_id(number, 11), names::device(number, 11));
    }
    assert!((seed::INITIAL_STATE - names::WANTED).abs() < f64::EPSILON);
}

#[test]
fn both_sides_name_the_same_services() {
    let services = service::Service::ALL.map(service::Service::name);
    assert_eq!(services, Service::ALL.map(Service::name));
}

#[test]
fn replies_of_the_api_pass_the_check() {
    let (device, owner) = (seed::device_id(3, 7), seed::user_name(3));
    let id = || DeviceId::try_from(device.clone()).unwrap();
    let user = || UserName::try_from(owner.clone()).unwrap();
    let command = Uuid::from_u128(7);
    let readings = [9, 8].map(|timestamp_ms| Reading {
        timestamp_ms,
        value: 20.0,
    });
    let replies = [
        serde_json::to_vec(&UserView {
            username: user(),
            devices: vec![id()],
            rules: vec![Uuid::nil()],
        }),
        serde_json::to_vec(&DeviceView {
            id: id(),
            owner: user(),
            gateway: "gateway-0".into(),
        }),
        serde_json::to_vec(&PageView {
            device: id(),
            page: 0,
            size: 20,
            total: 9,
            kept: 2,
            readings: readings.to_vec(),
        }),
        serde_json::to_vec(&CommandView { command, device: id() }),
    ];
    for (endpoint, reply) in Endpoint::ALL.into_iter().zip(replies) {
        let planned = Planned {
            endpoint,
            device: device.clone(),
            value: 21.0,
        };
        let accepted = check(3, 1, &planned, &reply.unwrap()).unwrap();
        let expected = (endpoint == Endpoint::PostCommand).then(|| Commanded {
            command,
            device: device.clone(),
        });
        assert_eq!(accepted, expected);
        if let Some(body) = Asked::of(3, &planned).body {
            assert!(serde_json::from_slice::<CommandBody>(&body).is_ok());
        }
    }
}
