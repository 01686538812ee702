//! The checked workload `jung`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::surroundings::BrokerProgram;
use workloads::jung::bench::dataset::Mix;
use workloads::jung::service::Service;

/// Fraga's IoT benchmark: eight services that talk only through Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JungWorkload {
    /// What is created before READY.
    pub amounts: Amounts,
    /// What each user asks for, in the thesis' order.
    pub mix: Mix,
    /// Tasks under way at a time in each service; 1 waits for each result before the next task, as in the thesis.
    pub concurrency: u16,
    /// Partitions of task topics: so many instances can share the tasks of a service.
    pub partitions: u16,
    /// Instances of the services that have more than one.
    pub instances: BTreeMap<Service, u16>,
    /// Services that are processes of the target host, whatever the platform.
    pub beside: BTreeSet<Service>,
    /// The broker that the services talk through.
    pub kafka: ServicesKafka,
    /// The API gateway's port.
    pub port: u16,
    /// The device gateway's port, where the truth is read back.
    pub device_port: u16,
    /// How long a service waits for another.
    pub reply_timeout: Duration,
}

/// What is created before READY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amounts {
    /// Users.
    pub users: u32,
    /// Devices of each.
    pub devices: u32,
    /// Rules of each device.
    pub rules: u32,
    /// First readings of each device.
    pub readings: u32,
}

/// The broker that services talk through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServicesKafka {
    /// One that the runner starts for each trial.
    Started {
        /// Which.
        program: BrokerProgram,
        /// Where processes of the target host reach it; others on the next port.
        port: u16,
    },
    /// One that runs, at these `address:port`, separated by commas.
    Running(String),
}

impl JungWorkload {
    /// How many instances of a service there are.
    #[must_use]
    pub fn instances_of(&self, service: Service) -> u16 {
        self.instances.get(&service).copied().unwrap_or(1)
    }

    /// In a line for reports.
    #[must_use]
    pub fn summary(&self) -> String {
        let Amounts {
            users, devices, rules, ..
        } = self.amounts;
        let beside: Vec<&str> = self.beside.iter().map(|service| service.name()).collect();
        let beside = match beside.as_slice() {
            [] => "nothing".to_owned(),
            names => names.join(", "),
        };
        format!(
            "Fraga's IoT benchmark, {users} users x {devices} devices x {rules} rules, {} tasks at a time; beside the platform: {beside}; {}",
            self.concurrency, self.kafka
        )
    }

    /// How many requests each user has on its list.
    #[must_use]
    pub fn requests_of_a_user(&self) -> u32 {
        let mix = self.mix;
        mix.get_user + mix.get_device + mix.get_readings + mix.post_command
    }
}

impl std::fmt::Display for ServicesKafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Started { program, .. } => match program {
                BrokerProgram::Own => f.write_str("over this project's broker"),
                BrokerProgram::Apache => f.write_str("over Apache Kafka"),
            },
            Self::Running(addresses) => write!(f, "over Kafka at {addresses}"),
        }
    }
}
