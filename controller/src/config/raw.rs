//! The experiment file as it is written: every key that there is, of the right type or noted as a problem; nothing is decided yet.

use std::time::Duration;

use toml::de::DeTable;

use super::field::{Field, cut};
use super::problem::{Problem, Severity};
use super::section::Section;
use super::source::Text;
use super::table::Table;

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

/// A struct of raw fields, one a key, and the function that reads them. What is written once here is the key, the field and its type.
macro_rules! raw_table {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $key:ident: $read:ident -> $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            /// Where the table stands.
            pub section: Section,
            $($(#[$field_doc])* pub $key: Field<$type>,)*
        }

        impl $name {
            /// Every key that the table may have.
            pub const KEYS: &[&str] = &[$(stringify!($key)),*];

            fn read(table: &mut Table<'_>) -> Self {
                Self {
                    section: table.section(),
                    $($key: table.$read(stringify!($key)),)*
                }
            }

            /// The keys that are there, without their values.
            #[must_use]
            pub fn given(&self) -> Vec<Field<()>> {
                [$(self.$key.bare()),*].into_iter().filter(|field| !field.is_absent()).collect()
            }
        }
    };
}

raw_table! {
    /// `[experiment]`.
    RawHead {
        /// Its name.
        name: text -> String,
        /// The number of blocks.
        iterations: whole -> i64,
        /// The seed.
        seed: whole -> i64,
        /// The order of trials.
        order: text -> String,
        /// How often a trial is tried at most.
        max_attempts: whole -> i64,
        /// The platform that ratios are taken to.
        baseline: text -> String,
        /// The folder of all results.
        results: text -> String,
        /// The controller's name.
        controller: text -> String,
        /// The host whose runner deploys.
        host: text -> String,
    }
}

raw_table! {
    /// The keys of `[kafka]` but `[kafka.options]`.
    RawKafkaKeys {
        /// `embedded` or addresses.
        brokers: text -> String,
        /// Stands in front of every topic's name.
        prefix: text -> String,
        /// Partitions of new topics.
        partitions: whole -> i64,
        /// Replication factor of new topics.
        replication: whole -> i64,
        /// Retention of new topics.
        retention: duration -> Duration,
        /// The file with the signing key.
        key_file: text -> String,
        /// Where the embedded broker listens.
        listen: text -> String,
        /// What the embedded broker tells clients to connect to.
        advertise: text -> String,
        /// Where the embedded broker keeps its files.
        data: text -> String,
    }
}

raw_table! {
    /// `[[platform]]`, of every kind.
    RawPlatform {
        /// What it is.
        kind: text -> String,
        /// Its name.
        name: text -> String,
        /// Whether it may be left out.
        optional: flag -> bool,
        /// docker: whose engine.
        engine: text -> String,
        /// docker: where the engine listens.
        socket: text -> String,
        /// docker: what runs the containers.
        runtime: text -> String,
        /// docker: whether the port is published on the host.
        publish: flag -> bool,
        /// docker: an image that is already there.
        image: text -> String,
        /// guests: the description on the runner's host.
        guest: text -> String,
        /// docker, guests: how they are reached.
        network: text -> String,
        /// guests: whether vhost-net moves the packets.
        vhost: flag -> bool,
        /// guests: what executes their instructions.
        acceleration: text -> String,
        /// guests: virtual CPUs.
        vcpus: whole -> i64,
        /// fake: how long a start takes, ms.
        start_ms: whole -> i64,
        /// fake: where it fails.
        fail: text -> String,
    }
}

raw_table! {
    /// `[[workload]]`, of every kind.
    RawWorkload {
        /// What it is.
        kind: text -> String,
        /// Its name.
        name: text -> String,
        /// tcp: the port. jung: the API gateway's.
        port: whole -> i64,
        /// tcp: the length of the body, bytes; udp: how many letters a reply begins with.
        reply_bytes: whole -> i64,
        /// tcp: how many of the service.
        copies: whole -> i64,
        /// jung: users.
        users: whole -> i64,
        /// jung: devices of each user.
        devices: whole -> i64,
        /// jung: rules of each device.
        rules: whole -> i64,
        /// jung: first readings of each device.
        readings: whole -> i64,
        /// jung: `GET /users/<u>` of each user.
        get_user: whole -> i64,
        /// jung: `GET .../devices/<d>` of each user.
        get_device: whole -> i64,
        /// jung: `GET .../readings` of each user.
        get_readings: whole -> i64,
        /// jung: `POST .../commands` of each user.
        post_command: whole -> i64,
        /// jung: tasks under way at a time in each service.
        concurrency: whole -> i64,
        /// jung: how many instances can share the tasks of a service.
        partitions: whole -> i64,
        /// jung: how many there are of each service.
        instances: counts -> Vec<(String, i64)>,
        /// jung: the services that are processes of the target host whatever the platform.
        beside: texts -> Vec<String>,
        /// jung: the broker that the services talk through.
        kafka: text -> String,
        /// jung: where the runner starts that broker.
        kafka_port: whole -> i64,
        /// jung: where the device gateway tells what its devices did.
        device_port: whole -> i64,
        /// jung: how long a service waits for another.
        reply_timeout: duration -> Duration,
        /// udp: whether it answers with the packet itself.
        echo: flag -> bool,
        /// udp: sockets on its port.
        sockets: whole -> i64,
        /// udp: the receive buffer of each socket, bytes.
        receive_buffer: whole -> i64,
    }
}

raw_table! {
    /// The keys of `[[load]]`, of every kind, but `[[load.mix]]`.
    RawLoadKeys {
        /// What it is.
        kind: text -> String,
        /// Its name.
        name: text -> String,
        /// The measured window.
        duration: duration -> Duration,
        /// Before the measured window.
        warm_up: duration -> Duration,
        /// After which a request has failed.
        timeout: duration -> Duration,
        /// Whether connections stay open.
        keep_alive: flag -> bool,
        /// The generator's CPUs.
        cpus: text -> String,
        /// rate: requests a second.
        rate: number -> f64,
        /// rate: when requests are due.
        arrivals: text -> String,
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
        repeats: whole -> i64,
        /// users: how many.
        users: whole -> i64,
        /// users: the calls of each.
        requests: whole -> i64,
        /// users: the first calls of each, which are not measured.
        warm_up_requests: whole -> i64,
        /// users: the pause between a reply and the next call.
        think_time: duration -> Duration,
        /// users: how the pause is distributed.
        think: text -> String,
        /// users: the time over which they begin.
        ramp_up: duration -> Duration,
        /// max: how many.
        connections: whole -> i64,
        /// httperf: requests on each connection.
        calls: whole -> i64,
        /// udp: how many packets.
        packets: whole -> i64,
        /// udp: the length of each, bytes.
        size: whole -> i64,
        /// udp: the distance of two packets.
        pace: duration -> Duration,
        /// udp: packets under way at most.
        window: whole -> i64,
        /// udp: how long the fastest pace without loss is looked for.
        search: duration -> Duration,
    }
}

raw_table! {
    /// `[[load.mix]]`.
    RawMix {
        /// Path and query.
        path: text -> String,
        /// What it is called in results.
        label: text -> String,
        /// How often it comes.
        share: whole -> i64,
    }
}

/// `[[load]]` with its `[[load.mix]]`.
#[derive(Clone, Debug)]
pub struct RawLoad {
    /// The keys of `[[load]]` itself.
    pub keys: RawLoadKeys,
    /// users: what they ask for.
    pub mix: Vec<RawMix>,
}

raw_table! {
    /// `[[skip]]`.
    RawSkip {
        /// The platform.
        platform: text -> String,
        /// The workload.
        workload: text -> String,
        /// The load.
        load: text -> String,
    }
}

raw_table! {
    /// `[resources]`.
    RawResources {
        /// The services' CPUs.
        cpuset: text -> String,
        /// The NUMA nodes of the services' memory.
        mems: text -> String,
        /// Each service's memory, MiB.
        memory_mib: whole -> i64,
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
        governor: text -> String,
        /// Whether the clock may rise above its base.
        turbo: flag -> bool,
        /// Whether cores run several threads.
        smt: flag -> bool,
        /// The idle states that may be enabled.
        c_states: text -> String,
        /// Address space randomisation.
        aslr: whole -> i64,
        /// Transparent huge pages.
        thp: text -> String,
        /// Whether equal pages are merged.
        ksm: flag -> bool,
        /// Whether there is swap space.
        swap: flag -> bool,
        /// The clock source.
        clocksource: text -> String,
        /// The cgroup version.
        cgroup: whole -> i64,
        /// The kernel's release.
        kernel: text -> String,
        /// The microcode's revision.
        microcode: text -> String,
        /// No virtual machine.
        bare_metal: flag -> bool,
        /// CPUs that the scheduler leaves alone.
        isolated: text -> String,
        /// The highest load average.
        max_load: number -> f64,
        /// The least free memory.
        min_free_mib: whole -> i64,
        /// The highest temperature.
        max_temperature: number -> f64,
        /// No CPU in common.
        disjoint: flag -> bool,
        /// Which of these may be unmet.
        waive: texts -> Vec<String>,
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
        max_dirty_mib: whole -> i64,
        /// The least free memory.
        min_free_mib: whole -> i64,
        /// How long is waited.
        deadline: duration -> Duration,
        /// What happens then.
        otherwise: text -> String,
    }
}

raw_table! {
    /// `[generator]`.
    RawGenerator {
        /// The CPUs of every load that names none.
        cpus: text -> String,
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
    pub options: Vec<(String, String)>,
}

impl RawExperiment {
    /// Every table of the file with its keys, for the reference and its test.
    pub const TABLES: &[(&str, &[&str])] = &[
        ("[experiment]", RawHead::KEYS),
        ("[kafka]", RawKafkaKeys::KEYS),
        ("[[platform]]", RawPlatform::KEYS),
        ("[[workload]]", RawWorkload::KEYS),
        ("[[load]]", RawLoadKeys::KEYS),
        ("[[load.mix]]", RawMix::KEYS),
        ("[[skip]]", RawSkip::KEYS),
        ("[resources]", RawResources::KEYS),
        ("[sampling]", RawSampling::KEYS),
        ("[deadlines]", RawDeadlines::KEYS),
        ("[host]", RawHost::KEYS),
        ("[band]", RawBand::KEYS),
        ("[generator]", RawGenerator::KEYS),
    ];

    /// Reads a text, with the problems of types and unknown keys that do not keep the rest from being checked.
    ///
    /// # Errors
    /// What is no TOML; guesses about the rest would only confuse then.
    pub(super) fn parse(file: &str, text: &str) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let lines = Text::new(text);
        let (document, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let mut problems: Vec<_> = errors.iter().map(|error| syntax_problem(file, &lines, error)).collect();
            problems.sort_by_key(|problem| problem.line);
            // What follows on the same line is mostly a consequence.
            problems.dedup_by_key(|problem| problem.line);
            return Err(problems);
        }
        let mut problems = Vec::new();
        let root = Table::root(file, &lines, document.get_ref());
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

impl RawLoad {
    fn read(mut table: Table<'_>, problems: &mut Vec<Problem>) -> Self {
        let mix = table.tables("mix");
        let keys = RawLoadKeys::read(&mut table);
        table.end(problems);
        Self {
            keys,
            mix: many(mix, RawMix::read, problems),
        }
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

fn syntax_problem(file: &str, text: &Text<'_>, error: &toml::de::Error) -> Problem {
    let line = text.line_of(error.span().map_or(0, |span| span.start));
    Problem {
        severity: Severity::Error,
        file: file.to_owned(),
        line: Some(line),
        table: format!("`{}`", cut(text.line(line).trim())),
        key: None,
        value: None,
        what: format!("this is no TOML: {}", error.message().trim().replace('\n', ", ")),
        remedy: "correct the line, then check again".to_owned(),
    }
}
