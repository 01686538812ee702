//! Shared code of the integration tests: brokers, a raw protocol client, rdkafka clients, other programs.
#![allow(dead_code, reason = "each test file uses a different part")]

pub mod process;
pub mod raw;
pub mod tools;

use std::path::Path;
use std::time::Duration;

use broker::{Broker, Config, FsyncPolicy, Listener};
use rdkafka::ClientConfig;

/// Timeout for events that must happen; generous, because the machine is shared.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A configuration on a free port.
pub fn config(data: &Path) -> Config {
    let local = Listener {
        bind: ([127, 0, 0, 1], 0).into(),
        advertise: None,
    };
    Config {
        listeners: vec![local],
        data: data.to_owned(),
        fsync: FsyncPolicy::Never,
        ..Config::default()
    }
}

/// A running broker, its data directory and its address.
pub struct TestBroker {
    pub broker: Broker,
    pub folder: tempfile::TempDir,
    pub address: String,
}

/// Starts a broker with a configuration modified by `change`.
pub async fn start_with(change: impl FnOnce(&mut Config)) -> TestBroker {
    // Failing tests show the broker's log.
    let _already_set = tracing_subscriber::fmt()
        .with_test_writer()
        .with_max_level(tracing::Level::DEBUG)
        .try_init();
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    change(&mut config);
    let broker = Broker::start(config).await.unwrap();
    let address = broker.addresses()[0].to_string();
    TestBroker {
        broker,
        folder,
        address,
    }
}

/// Starts a broker.
pub async fn start() -> TestBroker {
    start_with(|_| {}).await
}

/// The configuration of an rdkafka client, as Jung uses it.
pub fn client(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", address)
        .set("linger.ms", "0")
        .set("enable.idempotence", "true")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "500");
    config
}

/// The configuration of a group member.
pub fn member(address: &str, group: &str) -> ClientConfig {
    let mut config = client(address);
    config
        .remove("linger.ms")
        .remove("enable.idempotence")
        .set("group.id", group)
        .set("session.timeout.ms", "2000")
        .set("heartbeat.interval.ms", "200")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false");
    config
}
