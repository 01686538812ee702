//! The tables but `[[load]]`.

use std::time::Duration;

use super::keys::raw_table;
use crate::config::field::Field;
use crate::config::problem::Problem;
use crate::config::section::Section;
use crate::config::table::Table;

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
        /// Whether it sleeps while there is nothing to do.
        wait: text -> String,
        /// The machines that the load is split over.
        loaders: texts -> Vec<String>,
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

impl RawKafka {
    pub(super) fn read(mut table: Table<'_>, problems: &mut Vec<Problem>) -> Self {
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
