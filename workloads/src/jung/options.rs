//! The command line of `workload jung`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::bus::Settings;
use super::seed::Amounts;
use super::service::Service;

/// Command line options.
#[derive(Debug, Args)]
pub struct Options {
    /// The service or tool to run.
    #[command(subcommand)]
    pub part: Part,
}

/// Services and tools.
#[derive(Debug, Subcommand)]
pub enum Part {
    /// Translate HTTP requests into tasks for the other services
    ApiGateway(ApiGatewayOptions),
    /// Authenticate and authorize requests
    AuthManager(ServiceOptions),
    /// Store users
    UserRegistry(ServiceOptions),
    /// Store devices
    DeviceRegistry(ServiceOptions),
    /// Store readings
    DeviceMonitor(DeviceMonitorOptions),
    /// Forward commands to device gateways
    DeviceCommander(ServiceOptions),
    /// Check rules every second
    RuleEngine(ServiceOptions),
    /// Simulate devices
    DeviceGateway(DeviceGatewayOptions),
    /// Create users, devices, rules and readings through the API and verify their number
    Seed(SeedOptions),
}

/// Options of every service.
#[derive(Clone, Debug, Args)]
pub struct ServiceOptions {
    /// Kafka brokers as comma-separated HOST:PORT; use IP addresses in guests and in containers FROM scratch
    #[arg(long, default_value = "127.0.0.1:9092", value_name = "LIST")]
    pub brokers: String,

    /// Prefix of topic and group names, so that several systems can share a broker
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub prefix: String,

    /// Partitions of task topics, if they are created: the maximum number of instances that share the tasks of a service; each adds overhead
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=1000), value_name = "N")]
    pub partitions: i32,

    /// Partitions of result topics, if they are created: 8 suffice for one instance of each service, 16 for two
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(i32).range(1..=1000), value_name = "N")]
    pub result_partitions: i32,

    /// Maximum number of concurrent tasks; 1 waits for each result before the next task, as in the thesis
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    pub concurrency: u16,

    /// Timeout for results in ms, after which a request gets status 504
    #[arg(long, default_value_t = 15_000, value_parser = clap::value_parser!(u64).range(1..=600_000), value_name = "MS")]
    pub timeout: u64,

    /// Instance number, starting at 0; give each instance of a service its own, so that it does not read the results of others
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub instance: u16,

    /// Write a JSON line for every processed task and every wait for a result
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,

    /// Option for librdkafka, e.g. `linger.ms=1`; repeatable
    #[arg(long = "option", value_parser = key_value, value_name = "KEY=VALUE")]
    pub options: Vec<(String, String)>,
}

/// Options of the API gateway.
#[derive(Clone, Debug, Args)]
pub struct ApiGatewayOptions {
    /// Options of every service.
    #[command(flatten)]
    pub service: ServiceOptions,

    /// HTTP address and port to listen on
    #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)), value_name = "ADDRESS")]
    pub listen: SocketAddr,

    /// Default device gateway of new devices
    #[arg(long, default_value = "gateway-0", value_name = "NAME")]
    pub device_gateway: String,
}

/// Options of the device monitor.
#[derive(Clone, Debug, Args)]
pub struct DeviceMonitorOptions {
    /// Options of every service.
    #[command(flatten)]
    pub service: ServiceOptions,

    /// Maximum number of stored readings per device, 16 bytes each
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "N")]
    pub keep: u32,
}

/// Options of a device gateway.
#[derive(Clone, Debug, Args)]
pub struct DeviceGatewayOptions {
    /// Options of every service.
    #[command(flatten)]
    pub service: ServiceOptions,

    /// Name of this gateway, to which devices are attached
    #[arg(long, default_value = "gateway-0", value_name = "NAME")]
    pub name: String,

    /// HTTP address and port on which to serve the state of devices and the command log
    #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8081)), value_name = "ADDRESS")]
    pub listen: SocketAddr,
}

/// What to create.
#[derive(Clone, Copy, Debug, Args)]
pub struct SeedOptions {
    /// The API gateway; an `http://` in front is allowed
    #[arg(long, value_parser = address, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub gateway: SocketAddr,

    /// What to create.
    #[command(flatten)]
    pub amounts: Amounts,
}

impl ServiceOptions {
    /// The settings of the bus.
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

fn address(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    bare.parse().map_err(|_| "expected IP:PORT, e.g. 127.0.0.1:8080".into())
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, e.g. linger.ms=1".into()),
    }
}
