//! The whole platform, one process per service, on Apache Kafka and on the embedded broker.
//!
//! `JUNG_TEST_KAFKA` gives the broker addresses (default `127.0.0.1:9092`), e.g. as printed by
//! `deploy/kafka/kafka.sh start`.
#![cfg(feature = "jung")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod platform;

use std::time::Duration;

use axum::http::{Method, StatusCode};
use platform::load::{Load, assert_record_valid};
use platform::{EmbeddedBroker, Kafka, Platform, brokers};
use serde_json::{Value, json};
use workloads::jung::Client;
use workloads::jung::seed::{Amounts, seed};

const SMALL: Amounts = Amounts {
    users: 5,
    devices: 4,
    rules: 1,
    readings: 3,
};

fn load(each: u32) -> Load {
    Load {
        users: SMALL.users,
        devices: SMALL.devices,
        each,
    }
}

/// Runs each scenario on Apache Kafka and on the embedded broker.
macro_rules! scenarios {
    ($($name:ident)+) => {
        mod on_kafka {
            $(
                #[tokio::test]
                #[ignore = "needs Apache Kafka"]
                async fn $name() {
                    super::$name(&super::brokers()).await;
                }
            )+
        }

        mod on_embedded_broker {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    let broker = super::EmbeddedBroker::start().await;
                    super::$name(&broker.address()).await;
                }
            )+
        }
    };
}

scenarios! {
    requests_take_effect
    sequential_tasks_work_as_in_the_thesis
    killed_instance_is_taken_over
    two_instances_share_the_tasks
    restarted_services_recover_their_state
    lost_result_is_504_and_counted
    invalid_messages_are_counted_and_skipped
}

async fn requests_take_effect(brokers: &str) {
    let mut platform = Platform::start_on(brokers, &["--timeout", "10000"]).await;
    seed(platform.gateway, SMALL).await.unwrap();
    let commands = load(20).send(platform.gateway).await;
    assert_record_valid(platform.admin, &commands).await;
    // Requests of other users are refused by the whole chain.
    let mut client = Client::new(platform.gateway, Some(("user-0", "secret-0")));
    for (path, status) in [
        ("/users/user-1", 403),
        ("/users/user-0/devices/device-1-0", 403),
        ("/users/user-0/devices/nothing", 404),
        ("/users/user-0/devices/device-0-0/readings?page=1000", 404),
        ("/users/user-0/devices/device-0-0/readings?size=0", 400),
    ] {
        assert_eq!(client.send(Method::GET, path, None).await.unwrap().0, status, "{path}");
    }
    for credentials in [None, Some(("user-0", "secret-1")), Some(("nobody", "secret-0"))] {
        let mut client = Client::new(platform.gateway, credentials);
        assert_eq!(
            client.send(Method::GET, "/users/user-0", None).await.unwrap().0,
            401,
            "{credentials:?}"
        );
    }
    assert!(
        platform.stop().await.iter().all(|(_, status)| status.success()),
        "SIGTERM exits with code 0"
    );
}

async fn sequential_tasks_work_as_in_the_thesis(brokers: &str) {
    let platform = Platform::start_on(brokers, &["--concurrency", "1"]).await;
    seed(platform.gateway, SMALL).await.unwrap();
    let commands = load(5).send(platform.gateway).await;
    assert_record_valid(platform.admin, &commands).await;
}

async fn killed_instance_is_taken_over(brokers: &str) {
    let common = ["--partitions", "4", "--timeout", "30000"];
    let mut platform = Platform::start_on(brokers, &common).await;
    let seconds: Vec<_> = [
        "user-registry",
        "device-registry",
        "device-monitor",
        "auth-manager",
        "rule-engine",
    ]
    .into_iter()
    .map(|service| (service, platform.add(service, 1)))
    .collect();
    platform.ready().await;
    seed(platform.gateway, SMALL).await.unwrap();
    let gateway = platform.gateway;
    let driving = tokio::spawn(async move { load(150).send(gateway).await });
    platform.answered(200).await;
    assert!(!driving.is_finished(), "the load must outlast the instances");
    for (_, instance) in &seconds {
        platform.kill(*instance).await;
    }
    let commands = driving.await.unwrap();
    assert_record_valid(platform.admin, &commands).await;
    // The remaining instances have recovered the state of the killed ones.
    let mut client = Client::new(platform.gateway, Some(("user-0", "secret-0")));
    let user: Value = client.get("/users/user-0").await.unwrap();
    assert_eq!(user["devices"].as_array().unwrap().len(), 4);
    let page: Value = client
        .get("/users/user-0/devices/device-0-0/readings?size=1000")
        .await
        .unwrap();
    assert!(page["total"].as_u64().unwrap() >= 3);
    // The first instances processed tasks, too, as their counters at exit show.
    for (name, status) in platform.stop().await {
        assert!(
            status.success() || seconds.iter().any(|(service, _)| name == format!("{service}-1")),
            "{name}"
        );
    }
    for (service, _) in &seconds {
        let done = platform.log(service, 0)["done"].as_u64().unwrap();
        assert!(done > 0, "{service}");
    }
}

async fn two_instances_share_the_tasks(brokers: &str) {
    let mut platform = Platform::start_on(brokers, &["--partitions", "8"]).await;
    platform.add("auth-manager", 1);
    platform.shared_by("auth-manager", 2).await;
    platform.ready().await;
    seed(
        platform.gateway,
        Amounts {
            users: 20,
            devices: 1,
            rules: 0,
            readings: 0,
        },
    )
    .await
    .unwrap();
    let load = Load {
        users: 20,
        devices: 1,
        ..load(5)
    };
    load.send(platform.gateway).await;
    platform.stop().await;
    let done = [0, 1].map(|instance| platform.log("auth-manager", instance)["done"].as_u64().unwrap());
    assert!(done.iter().all(|done| *done > 20), "{done:?}");
}

async fn restarted_services_recover_their_state(brokers: &str) {
    let mut platform = Platform::start_on(brokers, &[]).await;
    seed(platform.gateway, SMALL).await.unwrap();
    for service in [
        "user-registry",
        "device-registry",
        "rule-engine",
        "device-monitor",
        "device-gateway",
    ] {
        let instance = platform.find(service);
        platform.kill(instance).await;
        platform.restart(instance);
    }
    platform.ready().await;
    let commands = load(10).send(platform.gateway).await;
    assert_record_valid(platform.admin, &commands).await;
    let mut client = Client::new(platform.gateway, Some(("user-0", "secret-0")));
    let rules: Value = client.get("/users/user-0/devices/device-0-0/rules").await.unwrap();
    assert_eq!(rules["rules"].as_array().unwrap().len(), 1);
    // Creating the same user again is still a conflict.
    let body = json!({"username": "user-0", "password": "other"})
        .to_string()
        .into_bytes();
    let (status, _) = client.send(Method::POST, "/users", Some(body)).await.unwrap();
    assert_eq!(status, StatusCode::CONFLICT);
}

async fn lost_result_is_504_and_counted(brokers: &str) {
    let mut platform = Platform::start_on(brokers, &["--timeout", "700"]).await;
    seed(platform.gateway, SMALL).await.unwrap();
    let monitor = platform.find("device-monitor");
    platform.kill(monitor).await;
    let mut client = Client::new(platform.gateway, Some(("user-0", "secret-0")));
    for _ in 0..3 {
        let (status, body) = client
            .send(Method::GET, "/users/user-0/devices/device-0-0/readings", None)
            .await
            .unwrap();
        assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
        assert!(String::from_utf8_lossy(&body).contains("device-monitor"));
    }
    assert_eq!(
        client.send(Method::GET, "/users/user-0", None).await.unwrap().0,
        200,
        "the other services keep working"
    );
    let stats: Value = client.get("/stats").await.unwrap();
    assert!(stats["timed_out"].as_u64().unwrap() >= 3, "{stats}");
    let (status, body) = client.send(Method::GET, "/health", None).await.unwrap();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(String::from_utf8_lossy(&body).contains("device-monitor"));
}

async fn invalid_messages_are_counted_and_skipped(brokers: &str) {
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
    let mut platform = Platform::start_on(brokers, &[]).await;
    let producer: BaseProducer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .create()
        .unwrap();
    let huge = "x".repeat(300_000);
    let deep = "[".repeat(100_000);
    for stem in ["auth", "user", "device", "reading", "command", "rule", "gateway"] {
        for topic in ["tasks", "results"].map(|kind| format!("{}{stem}_{kind}", platform.prefix)) {
            for payload in [
                "",
                "{",
                "null",
                &huge,
                &deep,
                "\u{0}",
                r#"{"version":1,"head":{},"task":{}}"#,
            ] {
                producer.send(BaseRecord::to(&topic).key("k").payload(payload)).unwrap();
                producer
                    .send(BaseRecord::<(), str>::to(&topic).payload(payload))
                    .unwrap();
            }
            let wrong_types = json!({"version": 1, "task": {"type": "GET", "username": 5}, "head":
                {"id": uuid::Uuid::nil(), "trace": uuid::Uuid::nil(), "from": "rule-engine", "reply": i32::MAX}});
            producer
                .send(BaseRecord::<(), str>::to(&topic).payload(&wrong_types.to_string()))
                .unwrap();
        }
    }
    producer.flush(Duration::from_secs(30)).unwrap();
    platform.ready().await;
    seed(platform.gateway, SMALL).await.unwrap();
    load(5).send(platform.gateway).await;
    assert!(platform.all_alive());
    platform.stop().await;
    assert!(platform.log("user-registry", 0)["malformed"].as_u64().unwrap() >= 10);
}

#[tokio::test]
#[ignore = "needs Apache Kafka"]
async fn killed_and_restarted_broker_loses_nothing() {
    let mut kafka = Kafka::start().await;
    let platform = Platform::start_on(kafka.address(), &["--timeout", "90000"]).await;
    seed(platform.gateway, SMALL).await.unwrap();
    let gateway = platform.gateway;
    let driving = tokio::spawn(async move { load(100).send(gateway).await });
    platform.answered(200).await;
    kafka.kill().await;
    assert!(!driving.is_finished(), "the load must outlast the broker");
    kafka.restart().await;
    let commands = driving.await.unwrap();
    assert_record_valid(platform.admin, &commands).await;
}
