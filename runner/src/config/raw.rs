//! The keys of the configuration, as written.

use std::collections::BTreeMap;

use protocol::raw_table;
use protocol::spec::CpuSet;
use protocol::toml::{Problem, Section, Table};

raw_table! {
    /// The keys but `[kafka]`.
    RawKeys {
        /// The name of this host.
        name: word -> String,
        /// The address at which controllers reach this host.
        address: word -> String,
        /// The Kafka brokers.
        brokers: list -> Vec<String>,
        /// Kafka topic prefix.
        prefix: word -> String,
        /// Partitions of new topics.
        partitions: quotable_integer -> i64,
        /// Replication factor of new topics.
        replication: quotable_integer -> i64,
        /// Retention of new topics.
        retention: duration -> std::time::Duration,
        /// The file with the signing key.
        key_file: word -> String,
        /// The folder of the crash journal, logs and images.
        state: word -> String,
        /// The workload program.
        workload: word -> String,
        /// This project's broker.
        broker: word -> String,
        /// The script that runs Apache Kafka.
        apache_kafka: word -> String,
        /// The CPUs to which the runner is pinned.
        cpus: cpus -> CpuSet,
        /// How the sampler's thread is scheduled.
        sampler: word -> String,
        /// What is logged.
        log: word -> String,
        /// The folder of the descriptions of services.
        services: word -> String,
    }
}

raw_table! {
    /// `[allow]`.
    RawAllow {
        /// The descriptions of this host that messages may name.
        descriptions: list -> Vec<String>,
        /// The programs that a description in a message may name.
        programs: list -> Vec<String>,
        /// The container images that messages may name.
        images: list -> Vec<String>,
        /// The files that a description in a message may put into images.
        files: list -> Vec<String>,
        /// The descriptions of guests that messages may name.
        guests: list -> Vec<String>,
        /// The most memory of a service, MiB.
        memory_mib: mib -> i64,
        /// The CPUs of services.
        cpus: cpus -> CpuSet,
        /// The most that the files of a service may contain, MiB.
        data_mib: mib -> i64,
    }
}

/// The configuration as written, of all layers.
#[derive(Clone, Debug)]
pub struct RawConfig {
    pub(super) keys: RawKeys,
    pub(super) allow: RawAllow,
    /// `[kafka]`: options of librdkafka.
    pub(super) kafka: BTreeMap<String, String>,
    pub(super) kafka_section: Section,
}

impl RawConfig {
    pub(super) fn read(mut root: Table<'_>, problems: &mut Vec<Problem>) -> Self {
        let kafka = root.table("kafka");
        let mut allow = root.table("allow");
        let raw_allow = RawAllow::read(&mut allow);
        allow.end(problems);
        let raw = Self {
            keys: RawKeys::read(&mut root),
            allow: raw_allow,
            kafka_section: kafka.section(),
            kafka: kafka.options(problems),
        };
        root.end(problems);
        raw
    }
}
