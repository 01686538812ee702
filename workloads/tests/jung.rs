//! The whole of Jung, each service a process of its own, on real Apache Kafka and on our own broker.
//!
//! `JUNG_TEST_KAFKA` names the brokers (`127.0.0.1:9092` without it), e.g. those that `deploy/kafka/kafka.sh start` prints.
#![cfg(feature = "jung")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod platform;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use platform::{Kafka, OwnBroker, Platform, brokers};
use serde_json::{Value, json};
use workloads::jung::bench::Client;
use workloads::jung::bench::dataset::Mix;
use workloads::jung::bench::drive::{Load, Outcome, drive};
use workloads::jung::bench::read_back::read_back;
use workloads::jung::bench::seed::{Amounts, seed};

const FEW: Amounts = Amounts {
    users: 5,
    devices: 4,
    rules: 1,
    readings: 3,
};

fn load(each: u32) -> Load {
    let mix = Mix {
        get_user: each,
        get_device: each,
        get_readings: each,
        post_command: each,
    };
    Load {
        users: FEW.users,
        devices: FEW.devices,
        mix,
        seed: 1,
        think: Duration::from_millis(5),
    }
}

fn assert_all_right(outcome: &Outcome, requests: u32) {
    let failures: Vec<_> = outcome.sent.iter().filter_map(|sent| sent.failure.as_ref()).collect();
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(outcome.sent.len(), usize::try_from(requests).unwrap());
}

/// Reads the truth back until it holds: rules have two seconds, and a machine under test may be slow.
async fn assert_true(admin: SocketAddr, outcome: &Outcome) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let truth = read_back(admin, &outcome.commands).await.unwrap();
        if truth.lost == 0 && truth.violations > 0 && truth.unanswered == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "{truth:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Two tests of each scenario: on real Apache Kafka, and on our own broker.
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

        mod on_our_own_broker {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    let broker = super::OwnBroker::start().await;
                    super::$name(&broker.address()).await;
                }
            )+
        }
    };
}

scenarios! {
    what_is_asked_for_happens
    one_task_at_a_time_works_as_in_the_thesis
    an_instance_that_is_killed_is_stood_in_for
    two_instances_share_the_tasks
    who_is_restarted_remembers
    a_lost_reply_is_504_and_counted_and_never_hangs
    rubbish_in_the_topics_is_counted_and_left
}

async fn what_is_asked_for_happens(brokers: &str) {
    let mut platform = Platform::start_on(brokers, &["--timeout", "10000"]).await;
    seed(platform.gateway, FEW).await.unwrap();
    let outcome = drive(platform.gateway, load(20)).await;
    assert_all_right(&outcome, 5 * 80);
    assert_true(platform.admin, &outcome).await;
    // Whoever is not Anna is kept out, over the whole chain.
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
        "SIGTERM is a good end"
    );
}

async fn one_task_at_a_time_works_as_in_the_thesis(brokers: &str) {
    let platform = Platform::start_on(brokers, &["--concurrency", "1"]).await;
    seed(platform.gateway, FEW).await.unwrap();
    let outcome = drive(platform.gateway, load(5)).await;
    assert_all_right(&outcome, 5 * 20);
    assert_true(platform.admin, &outcome).await;
}

async fn an_instance_that_is_killed_is_stood_in_for(brokers: &str) {
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
    seed(platform.gateway, FEW).await.unwrap();
    let gateway = platform.gateway;
    let driving = tokio::spawn(async move { drive(gateway, load(150)).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    for (_, instance) in &seconds {
        platform.kill(*instance).await;
    }
    let outcome = driving.await.unwrap();
    assert_all_right(&outcome, 5 * 600);
    assert_true(platform.admin, &outcome).await;
    // What the dead knew, the living know.
    let mut client = Client::new(platform.gateway, Some(("user-0", "secret-0")));
    let user: Value = client.get("/users/user-0").await.unwrap();
    assert_eq!(user["devices"].as_array().unwrap().len(), 4);
    let page: Value = client
        .get("/users/user-0/devices/device-0-0/readings?size=1000")
        .await
        .unwrap();
    assert!(page["total"].as_u64().unwrap() >= 3);
    // Both had a share: the survivors of the first instances were told so when they ended.
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
    platform.ready().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
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
    assert_all_right(&drive(platform.gateway, load).await, 20 * 20);
    platform.stop().await;
    let done = [0, 1].map(|instance| platform.log("auth-manager", instance)["done"].as_u64().unwrap());
    assert!(done.iter().all(|done| *done > 20), "{done:?}");
}

async fn who_is_restarted_remembers(brokers: &str) {
    let mut platform = Platform::start_on(brokers, &[]).await;
    seed(platform.gateway, FEW).await.unwrap();
    for service in [
        "user-registry",
        "device-registry",
        "rule-engine",
        "device-monitor",
        "device-gateway",
    ] {
        let instance = platform.find(service);
        platform.kill(instance).await;
        platform.again(instance);
    }
    platform.ready().await;
    let outcome = drive(platform.gateway, load(10)).await;
    assert_all_right(&outcome, 5 * 40);
    assert_true(platform.admin, &outcome).await;
    let mut client = Client::new(platform.gateway, Some(("user-0", "secret-0")));
    let rules: Value = client.get("/users/user-0/devices/device-0-0/rules").await.unwrap();
    assert_eq!(rules["rules"].as_array().unwrap().len(), 1);
    // The same user again is the same conflict as before.
    let body = json!({"username": "user-0", "password": "other"})
        .to_string()
        .into_bytes();
    let (status, _) = client.send(Method::POST, "/users", Some(body)).await.unwrap();
    assert_eq!(status, StatusCode::CONFLICT);
}

async fn a_lost_reply_is_504_and_counted_and_never_hangs(brokers: &str) {
    let mut platform = Platform::start_on(brokers, &["--timeout", "700"]).await;
    seed(platform.gateway, FEW).await.unwrap();
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
        "the others go on"
    );
    let stats: Value = client.get("/stats").await.unwrap();
    assert!(stats["timed_out"].as_u64().unwrap() >= 3, "{stats}");
    let (status, body) = client.send(Method::GET, "/health", None).await.unwrap();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(String::from_utf8_lossy(&body).contains("device-monitor"));
}

async fn rubbish_in_the_topics_is_counted_and_left(brokers: &str) {
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
            let wild = json!({"version": 1, "task": {"type": "GET", "username": 5}, "head":
                {"id": uuid::Uuid::nil(), "trace": uuid::Uuid::nil(), "from": "rule-engine", "reply": i32::MAX}});
            producer
                .send(BaseRecord::<(), str>::to(&topic).payload(&wild.to_string()))
                .unwrap();
        }
    }
    producer.flush(Duration::from_secs(30)).unwrap();
    platform.ready().await;
    seed(platform.gateway, FEW).await.unwrap();
    let outcome = drive(platform.gateway, load(5)).await;
    assert_all_right(&outcome, 5 * 20);
    assert!(platform.all_alive());
    platform.stop().await;
    assert!(platform.log("user-registry", 0)["malformed"].as_u64().unwrap() >= 10);
}

#[tokio::test]
#[ignore = "needs Apache Kafka"]
async fn a_broker_that_is_killed_and_comes_back_costs_time_only() {
    let mut kafka = Kafka::start().await;
    let platform = Platform::start_on(kafka.address(), &["--timeout", "90000"]).await;
    seed(platform.gateway, FEW).await.unwrap();
    let gateway = platform.gateway;
    let driving = tokio::spawn(async move { drive(gateway, load(100)).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    kafka.kill().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!driving.is_finished(), "the load has to outlast the broker");
    kafka.again().await;
    let outcome = driving.await.unwrap();
    assert_all_right(&outcome, 5 * 400);
    assert_true(platform.admin, &outcome).await;
}
