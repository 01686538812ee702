//! This project's broker, in the process of the test.

use std::net::SocketAddr;
use std::path::Path;

use broker::{Broker, Config, Listener};
use protocol::AttemptId;
use protocol::bus::BusConfig;

/// A broker with empty data and topics of its own. Dropped, it ends with its data.
#[derive(Debug)]
pub struct TestBroker {
    /// The broker.
    pub broker: Broker,
    /// How to reach it.
    pub bus: BusConfig,
    _data: tempfile::TempDir,
}

impl TestBroker {
    /// Starts one on a port that the kernel gives.
    pub async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let broker = start(([127, 0, 0, 1], 0).into(), data.path()).await;
        let bus = bus_config(&broker.addresses()[0].to_string());
        Self {
            broker,
            bus,
            _data: data,
        }
    }
}

/// A broker on an address, with data that outlives it.
pub async fn start(address: SocketAddr, data: &Path) -> Broker {
    let config = Config {
        listeners: vec![Listener {
            bind: address,
            advertise: None,
        }],
        data: data.to_owned(),
        ..Config::default()
    };
    Broker::start(config).await.unwrap()
}

/// Topics of its own at these brokers.
#[must_use]
pub fn bus_config(brokers: &str) -> BusConfig {
    BusConfig {
        brokers: brokers.to_owned(),
        prefix: format!("test-{}.", AttemptId::fresh()),
        ..BusConfig::default()
    }
}
