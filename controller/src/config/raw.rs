//! The experiment file as written: every key, of the right type or reported as a problem; nothing is decided yet.

mod command;

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::raw_table;
use protocol::spec::CpuSet;
use protocol::toml::{Document, Field, Problem, Section, Table};

pub use command::{RawCommand, RawFigure, RawFile, RawParameter, RawPreset, RawPresetUse, RawProgram};

/// What an experiment file may hold.
#[derive(Clone, Debug)]
pub struct RawExperiment {
    /// The file's name.
    pub file: String,
    /// `[experiment]`.
    pub head: RawHead,
    /// `[kafka]`.
    pub kafka: RawKafka,
    /// Every `[[platform]]`.
    pub platforms: Vec<RawPlatform>,
    /// Every `[[workload]]`.
    pub workloads: Vec<RawWorkload>,
    /// Every `[[load]]`.
    pub loads: Vec<RawLoad>,
    /// Every `[[skip]]`.
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
    /// Every table of the file with its keys, for the reference and its test.
    pub const TABLES: &[(&str, &[&str])] = &[
        ("[experiment]", RawHead::KEYS),
        ("[kafka]", RawKafkaKeys::KEYS),
        ("[[platform]]", RawPlatform::KEYS),
        ("[[workload]]", RawWorkload::KEYS),
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

    /// Reads a text, with the problems of types and unknown keys, which do not keep the rest from being checked.
    ///
    /// # Errors
    /// Every line that is not TOML.
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
            head: one(root.table("experiment"), RawHead::read, problems),
            kafka: RawKafka::read(root.table("kafka"), problems),
            platforms: many(root.tables("platform"), RawPlatform::read, problems),
            workloads: many(root.tables("workload"), RawWorkload::read, problems),
            loads: root
                .tables("load")
                .into_iter()
                .map(|table| RawLoad::read(table, problems))
                .collect(),
            skips: many(root.tables("skip"), RawSkip::read, problems),
            resources: one(root.table("resources"), RawResources::read, problems),
            sampling: one(root.table("sampling"), RawSampling::read, problems),
            deadlines: one(root.table("deadlines"), RawDeadlines::read, problems),
            host: one(root.table("host"), RawHost::read, problems),
            band: one(root.table("band"), RawBand::read, problems),
            generator: one(root.table("generator"), RawGenerator::read, problems),
        };
        root.end(problems);
        raw
    }
}

fn one<T>(mut table: Table<'_>, read: fn(&mut Table<'_>) -> T, problems: &mut Vec<Problem>) -> T {
    let raw = read(&mut table);
    table.end(problems);
    raw
}

fn many<T>(tables: Vec<Table<'_>>, read: fn(&mut Table<'_>) -> T, problems: &mut Vec<Problem>) -> Vec<T> {
    tables.into_iter().map(|table| one(table, read, problems)).collect()
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
        /// How often a trial is tried at most.
        max_attempts: integer -> i64,
        /// The platform that ratios are taken to.
        baseline: string -> String,
        /// The folder of all results.
        results: string -> String,
        /// The controller's name.
        controller: string -> String,
        /// The host whose runner deploys.
        host: string -> String,
    }
}

raw_table! {
    /// The keys of `[kafka]` but `[kafka.options]`.
    RawKafkaKeys {
        /// `embedded` or addresses.
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
        /// Where the embedded broker listens.
        listen: string -> String,
        /// What the embedded broker tells clients to connect to.
        advertise: string -> String,
        /// Where the embedded broker keeps its files.
        data: string -> String,
    }
}

raw_table! {
    /// `[[platform]]`, of every kind.
    RawPlatform {
        /// What it is.
        kind: string -> String,
        /// Its name.
        name: string -> String,
        /// Whether it may be left out.
        optional: boolean -> bool,
        /// docker: whose engine.
        engine: string -> String,
        /// docker: where the engine listens.
        socket: string -> String,
        /// docker: what runs the containers.
        runtime: string -> String,
        /// docker: whether the port is published on the host.
        publish: boolean -> bool,
        /// docker: an image that is already there.
        image: string -> String,
        /// guests: the description on the runner's host.
        guest: string -> String,
        /// docker, guests: how they are reached.
        network: string -> String,
        /// guests: whether vhost-net moves the packets.
        vhost: boolean -> bool,
        /// guests: what executes their instructions.
        acceleration: string -> String,
        /// guests: virtual CPUs.
        vcpus: integer -> i64,
        /// fake: how long a start takes, ms.
        start_ms: integer -> i64,
        /// fake: where it fails.
        fail: string -> String,
    }
}

raw_table! {
    /// `[[workload]]`, of every kind.
    RawWorkload {
        /// What it is.
        kind: string -> String,
        /// Its name.
        name: string -> String,
        /// tcp: the port. jung: the API gateway's.
        port: integer -> i64,
        /// tcp: the length of the body, bytes; udp: how many letters a reply begins with.
        reply_bytes: bytes -> i64,
        /// tcp: how many of the service.
        copies: integer -> i64,
        /// jung: users.
        users: integer -> i64,
        /// jung: devices of each user.
        devices: integer -> i64,
        /// jung: rules of each device.
        rules: integer -> i64,
        /// jung: first readings of each device.
        readings: integer -> i64,
        /// jung: `GET /users/<u>` of each user.
        get_user: integer -> i64,
        /// jung: `GET .../devices/<d>` of each user.
        get_device: integer -> i64,
        /// jung: `GET .../readings` of each user.
        get_readings: integer -> i64,
        /// jung: `POST .../commands` of each user.
        post_command: integer -> i64,
        /// jung: tasks under way at a time in each service.
        concurrency: integer -> i64,
        /// jung: how many instances can share the tasks of a service.
        partitions: integer -> i64,
        /// jung: how many there are of each service.
        instances: counts -> Vec<(String, i64)>,
        /// jung: the services that are processes of the target host whatever the platform.
        beside: list -> Vec<String>,
        /// jung: the broker that the services talk through.
        kafka: string -> String,
        /// jung: where the runner starts that broker.
        kafka_port: integer -> i64,
        /// jung: where the device gateway tells what its devices did.
        device_port: integer -> i64,
        /// jung: how long a service waits for another.
        reply_timeout: duration -> Duration,
        /// udp: whether it answers with the packet itself.
        echo: boolean -> bool,
        /// udp: sockets on its port.
        sockets: integer -> i64,
        /// udp: the receive buffer of each socket, bytes.
        receive_buffer: bytes -> i64,
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
        /// The services' CPUs.
        cpuset: cpus -> CpuSet,
        /// The NUMA nodes of the services' memory.
        mems: cpus -> CpuSet,
        /// Each service's memory, MiB.
        memory_mib: mib -> i64,
    }
}

raw_table! {
    /// `[sampling]`.
    RawSampling {
        /// The distance of two samples.
        interval: duration -> Duration,
        /// How long the idle host is measured before each trial.
        idle: duration -> Duration,
    }
}

raw_table! {
    /// `[deadlines]`.
    RawDeadlines {
        /// For a runner that is away.
        runner: duration -> Duration,
        /// For an answer that takes no work.
        answer: duration -> Duration,
        /// For making the image.
        prepare: duration -> Duration,
        /// From the start to the first replies.
        ready: duration -> Duration,
        /// For filling the services before READY.
        seed: duration -> Duration,
        /// Without a word of the controller.
        lease: duration -> Duration,
        /// From asking to killing.
        grace: duration -> Duration,
    }
}

raw_table! {
    /// `[host]`.
    RawHost {
        /// The frequency governor.
        governor: string -> String,
        /// Whether the clock may rise above its base.
        turbo: boolean -> bool,
        /// Whether cores run several threads.
        smt: boolean -> bool,
        /// The idle states that may be enabled.
        c_states: list -> Vec<String>,
        /// Address space randomisation.
        aslr: integer -> i64,
        /// Transparent huge pages.
        thp: string -> String,
        /// Whether equal pages are merged.
        ksm: boolean -> bool,
        /// Whether there is swap space.
        swap: boolean -> bool,
        /// The clock source.
        clocksource: string -> String,
        /// The cgroup version.
        cgroup: integer -> i64,
        /// The kernel's release.
        kernel: string -> String,
        /// The microcode's revision.
        microcode: string -> String,
        /// No virtual machine.
        bare_metal: boolean -> bool,
        /// CPUs that the scheduler leaves alone.
        isolated: cpus -> CpuSet,
        /// The highest load average.
        max_load: number -> f64,
        /// The least free memory.
        min_free_mib: mib -> i64,
        /// The highest temperature.
        max_temperature: number -> f64,
        /// No CPU in common.
        disjoint: boolean -> bool,
        /// Which of these may be unmet.
        waive: list -> Vec<String>,
    }
}

raw_table! {
    /// `[band]`.
    RawBand {
        /// The highest load average.
        max_load: number -> f64,
        /// The highest share of the CPUs that is busy.
        max_busy: number -> f64,
        /// The highest temperature.
        max_temperature: number -> f64,
        /// The most above the run's start.
        max_warming: number -> f64,
        /// The most that waits for disks.
        max_dirty_mib: mib -> i64,
        /// The least free memory.
        min_free_mib: mib -> i64,
        /// How long is waited.
        deadline: duration -> Duration,
        /// What happens then.
        otherwise: string -> String,
    }
}

raw_table! {
    /// `[generator]`.
    RawGenerator {
        /// The CPUs of every load that names none.
        cpus: cpus -> CpuSet,
        /// Whether it sleeps while there is nothing to do.
        wait: string -> String,
        /// Whether CPUs are kept awake between requests.
        keep_awake: boolean -> bool,
        /// The machines that the load is split over.
        loaders: list -> Vec<String>,
    }
}

/// `[kafka]` with `[kafka.options]`.
#[derive(Clone, Debug)]
pub struct RawKafka {
    /// The keys of `[kafka]` itself.
    pub keys: RawKafkaKeys,
    /// `[kafka.options]`, where it stands.
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

raw_table! {
    /// The keys of `[[load]]`, of every kind, but those of its requests.
    RawLoadKeys {
        /// What it is.
        kind: string -> String,
        /// Its name.
        name: string -> String,
        /// The measured window.
        duration: duration -> Duration,
        /// Before the measured window.
        warm_up: duration -> Duration,
        /// After which a request has failed.
        timeout: duration -> Duration,
        /// Whether connections stay open.
        keep_alive: boolean -> bool,
        /// The generator's CPUs.
        cpus: cpus -> CpuSet,
        /// rate: requests a second.
        rate: number -> f64,
        /// rate: when requests are due.
        arrivals: string -> String,
        /// rate: the most by which a request is late at random.
        jitter: duration -> Duration,
        /// ramp: the first rate.
        from: number -> f64,
        /// ramp: the last rate.
        to: number -> f64,
        /// ramp: the distance of two steps.
        step: number -> f64,
        /// ramp: how many requests may fail, percent.
        max_errors: number -> f64,
        /// ramp: the response time that may not be exceeded.
        max_response: duration -> Duration,
        /// ramp: at this percentile.
        percentile: number -> f64,
        /// ramp: how narrow the bracket must be, percent.
        resolution: number -> f64,
        /// ramp: how often both of its ends are tried again.
        repeats: integer -> i64,
        /// users: how many.
        users: integer -> i64,
        /// users: the calls of each.
        requests: integer -> i64,
        /// users: the first calls of each, which are not measured.
        warm_up_requests: integer -> i64,
        /// users: the pause between a reply and the next call.
        think_time: duration -> Duration,
        /// users: how the pause is distributed.
        think: string -> String,
        /// users: the time over which they begin.
        ramp_up: duration -> Duration,
        /// max: how many.
        connections: integer -> i64,
        /// httperf: requests on each connection.
        calls: integer -> i64,
        /// udp: how many packets.
        packets: integer -> i64,
        /// udp: the length of each, bytes.
        size: bytes -> i64,
        /// udp: the distance of two packets.
        pace: duration -> Duration,
        /// udp: packets under way at most.
        window: integer -> i64,
        /// udp: how long the fastest pace without loss is looked for.
        search: duration -> Duration,
        /// HTTP: which of several requests comes next.
        order: string -> String,
        /// HTTP: the value of the header field `Host`.
        host: string -> String,
    }
}

raw_table! {
    /// `[[load.request]]`, but for its `expect`. A load with one request has these keys itself.
    RawRequestKeys {
        /// What it is called in results.
        label: string -> String,
        /// How often it comes.
        weight: integer -> i64,
        /// The method.
        method: string -> String,
        /// Path and query.
        path: string -> String,
        /// Header fields.
        headers: strings -> Vec<(String, String)>,
        /// The body.
        body: string -> String,
        /// The file with the body.
        body_file: string -> String,
        /// Whether there are placeholders.
        template: boolean -> bool,
    }
}

raw_table! {
    /// `expect` of a request: what its reply must be.
    RawExpect {
        /// The status, or several.
        status: integers -> Vec<i64>,
        /// The length of the body.
        length: bytes -> i64,
        /// The body.
        body: string -> String,
        /// A part of the body.
        contains: string -> String,
        /// What matches in the body.
        regex: string -> String,
        /// Values of the body by JSON pointer.
        json: scalars -> Vec<(String, serde_json::Value)>,
        /// The SHA-256 of the body.
        sha256: string -> String,
    }
}

raw_table! {
    /// `[load.tls]`.
    RawTls {
        /// The file with the certificates of the authorities.
        ca: string -> String,
        /// Whether every certificate is accepted.
        insecure: boolean -> bool,
        /// Whether new connections resume sessions.
        session_reuse: boolean -> bool,
    }
}

/// A request with its `expect`.
#[derive(Clone, Debug)]
pub struct RawRequest {
    /// The keys of the request itself.
    pub keys: RawRequestKeys,
    /// `expect`.
    pub expect: RawExpect,
}

impl RawRequest {
    fn read(table: &mut Table<'_>, problems: &mut Vec<Problem>) -> Self {
        let expect = one(table.table("expect"), RawExpect::read, problems);
        let keys = RawRequestKeys::read(table);
        Self { keys, expect }
    }

    /// Whether there is an `expect`, even an empty one.
    #[must_use]
    pub const fn has_expect(&self) -> bool {
        self.expect.section.line.is_some()
    }
}

/// `[[load]]` with its requests.
#[derive(Clone, Debug)]
pub struct RawLoad {
    /// The keys of every kind of load.
    pub keys: RawLoadKeys,
    /// The keys of a load with one request.
    pub request: RawRequest,
    /// Every `[[load.request]]`.
    pub requests: Vec<RawRequest>,
    /// `[load.tls]`.
    pub tls: RawTls,
    /// command: the preset.
    pub preset: RawPresetUse,
    /// command: the program.
    pub command: RawCommand,
}

impl RawLoad {
    fn read(mut table: Table<'_>, problems: &mut Vec<Problem>) -> Self {
        let requests = table.tables("request").into_iter().map(|mut table| {
            let request = RawRequest::read(&mut table, problems);
            table.end(problems);
            request
        });
        let requests = requests.collect();
        let load = Self {
            requests,
            tls: one(table.table("tls"), RawTls::read, problems),
            request: RawRequest::read(&mut table, problems),
            keys: RawLoadKeys::read(&mut table),
            preset: RawPresetUse::read(&mut table),
            command: RawCommand::read(&mut table, problems),
        };
        table.end(problems);
        load
    }

    /// The keys that are there, without their values.
    pub fn given(&self) -> Vec<Field<()>> {
        [self.keys.given(), self.preset.given(), self.command.program.given()].concat()
    }
}
