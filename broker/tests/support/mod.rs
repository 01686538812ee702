//! What the integration tests share: brokers, a raw client, rdkafka clients, other programs.
#![allow(dead_code, reason = "every test file uses another part")]

pub mod process;
pub mod raw;
pub mod tools;

use std::path::Path;
use std::time::Duration;

use broker::{Broker, Config, FsyncPolicy, Listener};
use rdkafka::ClientConfig;

/// Longest wait for something that should happen; generous, for the machine is shared.
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

/// A running broker, its folder and its address.
pub struct Running {
    pub broker: Broker,
    pub folder: tempfile::TempDir,
    pub address: String,
}

/// Starts a broker with a configuration that `change` has adapted.
pub async fn start_with(change: impl FnOnce(&mut Config)) -> Running {
    // A failing test shows what the broker said.
    let _already = tracing_subscriber::fmt()
        .with_test_writer()
        .with_max_level(tracing::Level::DEBUG)
        .try_init();
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    change(&mut config);
    let broker = Broker::start(config).await.unwrap();
    let address = broker.addresses()[0].to_string();
    Running {
        broker,
        folder,
        address,
    }
}

/// Starts a broker.
pub async fn start() -> Running {
    start_with(|_| {}).await
}

/// A rdkafka client's configuration as Jung uses it.
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

/// A group member's configuration.
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
