//! The command line of `workload jung`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::bench::dataset::{Mix, TABLE_2};
use super::bench::drive::Load;
use super::bench::seed::Amounts;
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
    /// Create users, devices, rules and readings through the API, and count them
    Seed(SeedOptions),
    /// Send the thesis' 500 requests a user, check every reply, and check afterwards what the devices did
    Drive(DriveOptions),
    /// Say from the files of --trace where the time went
    Spans(SpansOptions),
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

    /// Partitions of task topics that are missing and made: as many instances of a service can share its tasks; each costs time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=1000), value_name = "N")]
    pub partitions: i32,

    /// Partitions of result topics that are missing and made: 8 give every service its own, 16 two instances of each
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(i32).range(1..=1000), value_name = "N")]
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
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "N")]
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

/// What to create.
#[derive(Clone, Copy, Debug, Args)]
pub struct SeedOptions {
    /// The API gateway; an `http://` in front is allowed
    #[arg(long, value_parser = address, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub gateway: SocketAddr,

    /// Users
    #[arg(long, default_value_t = 30, value_name = "N")]
    pub users: u32,

    /// Devices of each user
    #[arg(long, default_value_t = 30, value_name = "N")]
    pub devices: u32,

    /// Rules of each device
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub rules: u32,

    /// First readings of each device
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub readings: u32,
}

/// What to send.
#[derive(Clone, Copy, Debug, Args)]
pub struct DriveOptions {
    /// The API gateway; an `http://` in front is allowed
    #[arg(long, value_parser = address, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub gateway: SocketAddr,

    /// The device gateway's own address, where the truth is read back; without it, it is not
    #[arg(long, value_parser = address, value_name = "ADDRESS")]
    pub truth: Option<SocketAddr>,

    /// Users, all at a time
    #[arg(long, default_value_t = 30, value_name = "N")]
    pub users: u32,

    /// Devices of each user
    #[arg(long, default_value_t = 30, value_name = "N")]
    pub devices: u32,

    /// `GET /users/<u>` of each user
    #[arg(long, default_value_t = TABLE_2.get_user, value_name = "N")]
    pub get_user: u32,

    /// `GET .../devices/<d>` of each user
    #[arg(long, default_value_t = TABLE_2.get_device, value_name = "N")]
    pub get_device: u32,

    /// `GET .../readings` of each user
    #[arg(long, default_value_t = TABLE_2.get_readings, value_name = "N")]
    pub get_readings: u32,

    /// `POST .../commands` of each user
    #[arg(long, default_value_t = TABLE_2.post_command, value_name = "N")]
    pub post_command: u32,

    /// Where the choice of devices and values comes from
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,

    /// Time between a reply and the user's next request, ms
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pub think: u64,
}

/// What to read.
#[derive(Clone, Debug, Args)]
pub struct SpansOptions {
    /// The files, each called after its service, e.g. `auth-manager.jsonl`
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

impl SeedOptions {
    /// What there has to be afterwards.
    #[must_use]
    pub fn amounts(&self) -> Amounts {
        Amounts {
            users: self.users,
            devices: self.devices,
            rules: self.rules,
            readings: self.readings,
        }
    }
}

impl DriveOptions {
    /// The load.
    #[must_use]
    pub fn load(&self) -> Load {
        let mix = Mix {
            get_user: self.get_user,
            get_device: self.get_device,
            get_readings: self.get_readings,
            post_command: self.post_command,
        };
        let think = Duration::from_millis(self.think);
        Load {
            users: self.users,
            devices: self.devices,
            mix,
            seed: self.seed,
            think,
        }
    }
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

fn address(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    bare.parse()
        .map_err(|_| "it has to be an address and a port, e.g. 127.0.0.1:8080".into())
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it has to be KEY=VALUE, e.g. linger.ms=1".into()),
    }
}
