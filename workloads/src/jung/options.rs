//! The command line of `workload jung`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::bus::Settings;
use super::service::Service;

/// Which part of the benchmark to run.
#[derive(Debug, Args)]
pub struct Options {
    /// A service, or a command that uses them.
    #[command(subcommand)]
    pub part: Part,
}

/// The parts.
#[derive(Debug, Subcommand)]
pub enum Part {
    /// Translate HTTP requests into tasks for the other services
    ApiGateway(ApiGatewayOptions),
    /// Say who may do what
    AuthManager(ServiceOptions),
    /// Keep users
    UserRegistry(ServiceOptions),
    /// Keep devices
    DeviceRegistry(ServiceOptions),
    /// Keep readings
    DeviceMonitor(DeviceMonitorOptions),
    /// Send commands to device gateways
    DeviceCommander(ServiceOptions),
    /// Check rules every second
    RuleEngine(ServiceOptions),
    /// Simulate devices
    DeviceGateway(DeviceGatewayOptions),
}

/// What every service is told.
#[derive(Clone, Debug, Args)]
pub struct ServiceOptions {
    /// Kafka brokers, `host:port` with a comma between; in a container FROM scratch and in a guest, addresses and not names
    #[arg(long, default_value = "127.0.0.1:9092", value_name = "LIST")]
    pub brokers: String,

    /// In front of the names of topics and groups, so that several systems can share a broker
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub prefix: String,

    /// Partitions of task topics that are missing and made: how many instances of a service can share its tasks
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..=1000), value_name = "N")]
    pub partitions: i32,

    /// Partitions of result topics that are missing and made: 8 give every service its own, 16 two instances of each
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(i32).range(1..=1000), value_name = "N")]
    pub result_partitions: i32,

    /// Tasks under way at a time; 1 waits for each result before the next task, as in the thesis
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    pub concurrency: u16,

    /// How long to wait for a result, ms; then the request is answered 504
    #[arg(long, default_value_t = 15_000, value_parser = clap::value_parser!(u64).range(1..=600_000), value_name = "MS")]
    pub timeout: u64,

    /// Which instance of the service this is, from 0; another number for each saves them reading each other's results
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub instance: u16,

    /// Write a JSON line for every task done and every task waited for
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,

    /// An option of librdkafka, e.g. `linger.ms=1`; can be given several times
    #[arg(long = "option", value_parser = key_value, value_name = "KEY=VALUE")]
    pub options: Vec<(String, String)>,
}

/// What the API gateway is told besides.
#[derive(Clone, Debug, Args)]
pub struct ApiGatewayOptions {
    /// What every service is told.
    #[command(flatten)]
    pub service: ServiceOptions,

    /// Where to listen for HTTP
    #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)), value_name = "ADDRESS")]
    pub listen: SocketAddr,

    /// The device gateway of devices whose request names none
    #[arg(long, default_value = "gateway-0", value_name = "NAME")]
    pub device_gateway: String,
}

/// What the device monitor is told besides.
#[derive(Clone, Debug, Args)]
pub struct DeviceMonitorOptions {
    /// What every service is told.
    #[command(flatten)]
    pub service: ServiceOptions,

    /// How many readings of each device to keep, 16 bytes each
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "N")]
    pub keep: u32,
}

/// What a device gateway is told besides.
#[derive(Clone, Debug, Args)]
pub struct DeviceGatewayOptions {
    /// What every service is told.
    #[command(flatten)]
    pub service: ServiceOptions,

    /// Its name, by which devices are hung on it
    #[arg(long, default_value = "gateway-0", value_name = "NAME")]
    pub name: String,

    /// Where to listen for those who want to know what its devices really did
    #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8081)), value_name = "ADDRESS")]
    pub listen: SocketAddr,
}

impl ServiceOptions {
    /// What the bus has to know.
    #[must_use]
    pub fn settings(&self, service: Service) -> Settings {
        Settings {
            service,
            instance: self.instance,
            brokers: self.brokers.clone(),
            prefix: self.prefix.clone(),
            partitions: self.partitions,
            result_partitions: self.result_partitions,
            timeout: Duration::from_millis(self.timeout),
            options: self.options.clone(),
        }
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it has to be KEY=VALUE, e.g. linger.ms=1".into()),
    }
}
