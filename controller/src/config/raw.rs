//! The raw experiment file: every key has the right type or is reported as a problem. Values are checked later.

mod command;
mod load;

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::description::{self, RawDescription};
use protocol::raw_table;
use protocol::spec::CpuSet;
use protocol::toml::{Document, Problem, Section, Table};

pub use command::{RawCommand, RawFigure, RawFile, RawParameter, RawPreset, RawPresetUse, RawProgram};
pub use load::{RawExpect, RawLoad, RawLoadKeys, RawRequest, RawRequestKeys, RawTls};

/// An experiment file.
#[derive(Clone, Debug)]
pub struct RawExperiment {
    /// The file's name.
    pub file: String,
    /// `[experiment]`.
    pub head: RawHead,
    /// `[kafka]`.
    pub kafka: RawKafka,
    /// All `[[platform]]` tables.
    pub platforms: Vec<RawPlatform>,
    /// All `[[workload]]` tables.
    pub workloads: Vec<RawWorkload>,
    /// All `[[load]]` tables.
    pub loads: Vec<RawLoad>,
    /// All `[[skip]]` tables.
    pub skips: Vec<RawSkip>,
    /// `[resources]`.
    pub resources: RawResources,
    /// `[sampling]`.
    pub sampling: RawSampling,
    /// `[deadlines]`.
    pub deadlines: RawDeadlines,
    /// `[host]`.
    pub host: RawHost,
    /// `[band]`.
    pub band: RawBand,
    /// `[generator]`.
    pub generator: RawGenerator,
}

impl RawExperiment {
    /// All tables of the file with their keys, for the reference and its test.
    pub const TABLES: &[(&str, &[&str])] = &[
        ("[experiment]", RawHead::KEYS),
        ("[kafka]", RawKafkaKeys::KEYS),
        ("[[platform]]", RawPlatform::KEYS),
        ("[[workload]]", RawWorkloadKeys::KEYS),
        ("[[workload.service]]", RawServiceKeys::KEYS),
        ("[[workload.service]]", description::RawKeys::KEYS),
        ("[[load]]", RawLoadKeys::KEYS),
        ("[[load.request]]", RawRequestKeys::KEYS),
        ("[load.request.expect]", RawExpect::KEYS),
        ("[load.tls]", RawTls::KEYS),
        ("[[load]]", RawProgram::KEYS),
        ("[[load]]", RawPresetUse::KEYS),
        ("[[load.figure]]", RawFigure::KEYS),
        ("[[load.file]]", RawFile::KEYS),
        ("[[skip]]", RawSkip::KEYS),
        ("[resources]", RawResources::KEYS),
        ("[sampling]", RawSampling::KEYS),
        ("[deadlines]", RawDeadlines::KEYS),
        ("[host]", RawHost::KEYS),
        ("[band]", RawBand::KEYS),
        ("[generator]", RawGenerator::KEYS),
    ];

    /// Parses a text. Wrong types and unknown keys are returned as problems, so that the rest can still be checked.
    ///
    /// # Errors
    /// All syntax errors.
    pub(super) fn parse(file: &str, text: &str) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let document = Document::parse(file, text)?;
        let mut problems = Vec::new();
        let root = Table::root(file, [&document], Self::TABLES);
        let raw = Self::read(file, root, &mut problems);
        Ok((raw, problems))
    }

    fn read(file: &str, mut root: Table<'_>, problems: &mut Vec<Problem>) -> Self {
        let raw = Self {
            file: file.to_owned(),
            head: root.table("experiment").read_whole(RawHead::read, problems),
            kafka: RawKafka::read(root.table("kafka"), problems),
            platforms: Table::read_every(root.tables("platform"), RawPlatform::read, problems),
            workloads: root
                .tables("workload")
                .into_iter()
                .map(|table| RawWorkload::read(table, problems))
                .collect(),
            loads: root
                .tables("load")
                .into_iter()
                .map(|table| RawLoad::read(table, problems))
                .collect(),
            skips: Table::read_every(root.tables("skip"), RawSkip::read, problems),
            resources: root.table("resources").read_whole(RawResources::read, problems),
            sampling: root.table("sampling").read_whole(RawSampling::read, problems),
            deadlines: root.table("deadlines").read_whole(RawDeadlines::read, problems),
            host: root.table("host").read_whole(RawHost::read, problems),
            band: root.table("band").read_whole(RawBand::read, problems),
            generator: root.table("generator").read_whole(RawGenerator::read, problems),
        };
        root.end(problems);
        raw
    }
}

raw_table! {
    /// `[experiment]`.
    RawHead {
        /// Its name.
        name: string -> String,
        /// The number of blocks.
        iterations: integer -> i64,
        /// The seed.
        seed: integer -> i64,
        /// The order of trials.
        order: string -> String,
        /// The maximum number of attempts per trial.
        max_attempts: integer -> i64,
        /// The platform with which the others are compared.
        baseline: string -> String,
        /// The results directory.
        results: string -> String,
        /// The controller's name.
        controller: string -> String,
        /// The host whose runner deploys the services.
        host: string -> String,
    }
}

raw_table! {
    /// The keys of `[kafka]`, without `[kafka.options]`.
    RawKafkaKeys {
        /// `embedded`, or the addresses of external brokers.
        brokers: list -> Vec<String>,
        /// Kafka topic prefix.
        prefix: string -> String,
        /// Partitions of new topics.
        partitions: integer -> i64,
        /// Replication factor of new topics.
        replication: integer -> i64,
        /// Retention of new topics.
        retention: duration -> Duration,
        /// The file with the signing key.
        key_file: string -> String,
        /// The address on which the embedded broker listens.
        listen: string -> String,
        /// The address that the embedded broker advertises to clients.
        advertise: string -> String,
        /// The data directory of the embedded broker.
        data: string -> String,
    }
}

raw_table! {
    /// `[[platform]]`, of any kind.
    RawPlatform {
        /// Its kind.
        kind: string -> String,
        /// Its name.
        name: string -> String,
        /// Whether it is left out if unavailable.
        optional: boolean -> bool,
        /// docker: the engine's product.
        engine: string -> String,
        /// docker: the engine's socket.
        socket: string -> String,
        /// docker: the container runtime.
        runtime: string -> String,
        /// docker: whether the port is published on the host.
        publish: boolean -> bool,
        /// docker: an existing image.
        image: string -> String,
        /// guests: the name of a description on the runner's host.
        guest: string -> String,
        /// docker, guests: the kind of network.
        network: string -> String,
        /// guests: whether vhost-net is used.
        vhost: boolean -> bool,
        /// guests: KVM or emulation.
        acceleration: string -> String,
        /// guests: number of virtual CPUs.
        vcpus: integer -> i64,
        /// fake: duration of a start, ms.
        start_ms: integer -> i64,
        /// fake: the stage that fails.
        fail: string -> String,
    }
}

raw_table! {
    /// `[[workload]]`, of any kind, but the keys of its service and its tables.
    RawWorkloadKeys {
        /// Its kind.
        kind: string -> String,
        /// Its name.
        name: string -> String,
        /// tcp, udp: the service's port; jung: that of the API gateway.
        port: integer -> i64,
        /// tcp: length of the body, bytes; udp: number of letters at the start of a reply.
        reply_bytes: bytes -> i64,
        /// tcp: number of instances.
        copies: integer -> i64,
        /// jung: number of users.
        users: integer -> i64,
        /// jung: devices per user.
        devices: integer -> i64,
        /// jung: rules per device.
        rules: integer -> i64,
        /// jung: initial readings per device.
        readings: integer -> i64,
        /// jung: `GET /users/<u>` requests per user.
        get_user: integer -> i64,
        /// jung: `GET .../devices/<d>` requests per user.
        get_device: integer -> i64,
        /// jung: `GET .../readings` requests per user.
        get_readings: integer -> i64,
        /// jung: `POST .../commands` requests per user.
        post_command: integer -> i64,
        /// jung: concurrent tasks per service.
        concurrency: integer -> i64,
        /// jung: partitions per topic, which limits the instances that share the tasks of a service.
        partitions: integer -> i64,
        /// jung: instances per service.
        instances: counts -> Vec<(String, i64)>,
        /// jung: services that always run as native processes, whatever the platform.
        beside: list -> Vec<String>,
        /// jung: the broker through which the services communicate.
        kafka: string -> String,
        /// jung: the port of that broker.
        kafka_port: integer -> i64,
        /// jung: the port of the device gateway's record.
        device_port: integer -> i64,
        /// jung: how long a service waits for a reply of another.
        reply_timeout: duration -> Duration,
        /// udp: whether the reply is a copy of the packet.
        echo: boolean -> bool,
        /// udp: number of sockets on the port.
        sockets: integer -> i64,
        /// udp: receive buffer per socket, bytes.
        receive_buffer: bytes -> i64,
        /// task: number of measured runs.
        runs: integer -> i64,
        /// task: number of runs before them.
        warm_up_runs: integer -> i64,
        /// task: how long a run may take.
        time_limit: duration -> Duration,
    }
}

raw_table! {
    /// The keys of `[[workload.service]]`, of which `[[workload]]` has all but its own name if it has one service.
    RawServiceKeys {
        /// Its name.
        name: string -> String,
        /// The description on the target host.
        description: string -> String,
        /// Whether it is a process of the target host on every platform.
        beside: boolean -> bool,
    }
}

/// A service: by the name of its description, or described here.
#[derive(Clone, Debug)]
pub struct RawService {
    /// Its own keys.
    pub keys: RawServiceKeys,
    /// Its description, or the parameters of the named one.
    pub inline: RawDescription,
}

impl RawService {
    fn read(table: &mut Table<'_>, problems: &mut Vec<Problem>) -> Self {
        Self {
            keys: RawServiceKeys::read(table),
            inline: RawDescription::read(table, problems),
        }
    }
}

/// `[[workload]]`, of every kind.
#[derive(Clone, Debug)]
pub struct RawWorkload {
    /// The keys of `[[workload]]` itself.
    pub keys: RawWorkloadKeys,
    /// service: its only service.
    pub service: RawService,
    /// service: `[[workload.service]]`, if it has several.
    pub services: Vec<RawService>,
}

impl RawWorkload {
    fn read(mut table: Table<'_>, problems: &mut Vec<Problem>) -> Self {
        let services = table.tables("service");
        let raw = Self {
            keys: RawWorkloadKeys::read(&mut table),
            service: RawService::read(&mut table, problems),
            services: services
                .into_iter()
                .map(|mut table| {
                    let service = RawService::read(&mut table, problems);
                    table.end(problems);
                    service
                })
                .collect(),
        };
        table.end(problems);
        raw
    }
}

raw_table! {
    /// `[[skip]]`.
    RawSkip {
        /// The platform.
        platform: string -> String,
        /// The workload.
        workload: string -> String,
        /// The load.
        load: string -> String,
    }
}

raw_table! {
    /// `[resources]`.
    RawResources {
        /// The CPUs of the services.
        cpuset: cpus -> CpuSet,
        /// The NUMA nodes of the services' memory.
        mems: cpus -> CpuSet,
        /// Memory limit per service, MiB.
        memory_mib: mib -> i64,
    }
}

raw_table! {
    /// `[sampling]`.
    RawSampling {
        /// The sampling interval.
        interval: duration -> Duration,
        /// How long the idle host is measured before each trial.
        idle: duration -> Duration,
    }
}

raw_table! {
    /// `[deadlines]`.
    RawDeadlines {
        /// For a runner to become available.
        runner: duration -> Duration,
        /// For an answer that involves no work.
        answer: duration -> Duration,
        /// For building an image.
        prepare: duration -> Duration,
        /// From the start of the services to their first correct replies.
        ready: duration -> Duration,
        /// For seeding the services before READY.
        seed: duration -> Duration,
        /// How long the runner continues without hearing from its controller.
        lease: duration -> Duration,
        /// From SIGTERM to SIGKILL.
        grace: duration -> Duration,
    }
}

raw_table! {
    /// `[host]`.
    RawHost {
        /// The CPU frequency governor.
        governor: string -> String,
        /// Whether turbo frequencies are enabled.
        turbo: boolean -> bool,
        /// Whether simultaneous multithreading is enabled.
        smt: boolean -> bool,
        /// The idle states that may be enabled.
        c_states: list -> Vec<String>,
        /// Address space randomisation.
        aslr: integer -> i64,
        /// Transparent huge pages.
        thp: string -> String,
        /// Whether kernel same-page merging is enabled.
        ksm: boolean -> bool,
        /// Whether there is swap space.
        swap: boolean -> bool,
        /// The clock source.
        clocksource: string -> String,
        /// The cgroup version.
        cgroup: integer -> i64,
        /// The kernel release.
        kernel: string -> String,
        /// The microcode revision.
        microcode: string -> String,
        /// Whether the host must not be a virtual machine.
        bare_metal: boolean -> bool,
        /// CPUs that are isolated from the scheduler.
        isolated: cpus -> CpuSet,
        /// The maximum load average.
        max_load: number -> f64,
        /// The minimum available memory.
        min_free_mib: mib -> i64,
        /// The maximum temperature.
        max_temperature: number -> f64,
        /// Whether load generator and services must not share CPUs.
        disjoint: boolean -> bool,
        /// Requirements that may be unmet.
        waive: list -> Vec<String>,
    }
}

raw_table! {
    /// `[band]`.
    RawBand {
        /// The maximum load average.
        max_load: number -> f64,
        /// The maximum CPU utilization.
        max_busy: number -> f64,
        /// The maximum temperature.
        max_temperature: number -> f64,
        /// The maximum rise of the temperature since the start of the run.
        max_warming: number -> f64,
        /// The maximum amount of dirty memory.
        max_dirty_mib: mib -> i64,
        /// The minimum available memory.
        min_free_mib: mib -> i64,
        /// How long to wait.
        deadline: duration -> Duration,
        /// What to do after that.
        otherwise: string -> String,
    }
}

raw_table! {
    /// `[generator]`.
    RawGenerator {
        /// The CPUs of all loads that set none.
        cpus: cpus -> CpuSet,
        /// Whether threads sleep or spin while they wait.
        wait: string -> String,
        /// Whether CPUs are kept awake between requests.
        keep_awake: boolean -> bool,
        /// The loaders over which each load is split.
        loaders: list -> Vec<String>,
    }
}

/// `[kafka]` with `[kafka.options]`.
#[derive(Clone, Debug)]
pub struct RawKafka {
    /// The keys of `[kafka]` itself.
    pub keys: RawKafkaKeys,
    /// The location of `[kafka.options]`.
    pub options_section: Section,
    /// `[kafka.options]`: options of librdkafka.
    pub options: BTreeMap<String, String>,
}

impl RawKafka {
    fn read(mut table: Table<'_>, problems: &mut Vec<Problem>) -> Self {
        let options = table.table("options");
        let raw = Self {
            keys: RawKafkaKeys::read(&mut table),
            options_section: options.section(),
            options: options.options(problems),
        };
        table.end(problems);
        raw
    }
}
