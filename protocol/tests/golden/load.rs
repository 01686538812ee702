//! The messages of loaders.

use std::collections::BTreeMap;

use protocol::command::TrialRef;
use protocol::load::{
    Chunk, EchoSpec, Fired, HostCounters, JungSpec, LettersSpec, Little, LoadSpec, LoaderFacts, MaxSpec, MixSpec,
    PartSpec, Prepare, Prepared, Progress, RateSpec, RequestLabel, ServiceCounters, Start, Stream, StreamFigures,
    Tally, TargetSpec, TimingSpec, UdpFigures, UdpSpec, Usage, UsersSpec,
};
use protocol::{Command, Event};

use crate::{check, name};

const TIMING: TimingSpec = TimingSpec {
    warm_up_ns: 2_000_000_000,
    duration_ns: 10_000_000_000,
    timeout_ns: 1_000_000_000,
};

fn prepare(load: LoadSpec, target: TargetSpec) -> Command {
    Command::Prepare(Box::new(Prepare {
        trial: TrialRef {
            experiment: name("first"),
            cell: "docker.tcp.500".into(),
            block: 1,
            attempt: 2,
        },
        load,
        part: PartSpec { index: 1, of: 3 },
        target,
        address: "10.0.0.2:8080".parse().unwrap(),
        seed: 42,
        cpus: vec![2, 3],
        spin: false,
        lease_ms: 15_000,
    }))
}

#[test]
fn what_a_loader_is_told() {
    let rate = RateSpec {
        rate_per_s: 500.0,
        timing: TIMING,
        poisson: true,
        keep_alive: false,
    };
    let letters = TargetSpec::Letters(LettersSpec { count: 1000 });
    check("prepare-rate", prepare(LoadSpec::Rate(rate), letters.clone()));
    let users = UsersSpec {
        users: 10,
        timing: TIMING,
        requests: Some(500),
        warm_up_requests: 5,
        think_ns: 1000,
        exponential: true,
        ramp_up_ns: 0,
        keep_alive: true,
        mix: vec![MixSpec {
            path: "/a".into(),
            label: "a".into(),
            share: 3,
        }],
    };
    let jung = TargetSpec::Jung(JungSpec {
        devices: 30,
        get_user: 25,
        get_device: 25,
        get_readings: 225,
        post_command: 225,
    });
    check("prepare-users", prepare(LoadSpec::Users(users), jung));
    let max = MaxSpec {
        connections: 64,
        timing: TIMING,
        keep_alive: true,
    };
    check("prepare-max", prepare(LoadSpec::Max(max), letters));
    let udp = UdpSpec {
        packets: 100_000,
        size: 1000,
        pace_ns: 2000,
        window: Some(64),
        timing: TIMING,
    };
    check(
        "prepare-udp",
        prepare(LoadSpec::Udp(udp), TargetSpec::Echo(EchoSpec {})),
    );
    check("start", Command::Start(Start { clock_ns: 17 }));
}

#[test]
fn what_a_loader_says() {
    let facts = LoaderFacts {
        version: "0.1.0".into(),
        commit: Some("abc".into()),
        machine: "lab-3".into(),
        os: "Debian".into(),
        kernel: "6.1.0".into(),
        arch: "x86_64".into(),
        cpu_model: "Xeon".into(),
        cpus: 8,
        memory_bytes: 1 << 30,
        governor: Some("performance".into()),
        boot_id: Some("b".into()),
        pinned: Some("2-3".parse().unwrap()),
        limits: None,
    };
    check("loader", Event::Loader(Box::new(facts)));
    check("prepared", Event::Prepared(Prepared {}));
    let progress = Progress {
        sent: 10,
        succeeded: 8,
        failed: 1,
    };
    check("progress", Event::Progress(progress));
    let chunk = Chunk {
        of: Stream::Requests,
        number: 3,
        data: "eJwDAAAAAAE=".into(),
    };
    check("chunk", Event::Chunk(chunk));
    check("fired", Event::Fired(Box::new(fired())));
}

fn fired() -> Fired {
    let tally = Tally {
        due: 100,
        sent: 99,
        succeeded: 98,
        failed: BTreeMap::from([("timeout".to_owned(), 2)]),
        bytes_in: 1000,
        bytes_out: 100,
    };
    Fired {
        labels: vec![RequestLabel {
            name: "a".into(),
            url: "http://10.0.0.2:8080/a".into(),
        }],
        warm_up: Tally::default(),
        window: tally,
        histograms: "#[..]\n".into(),
        start_clock_ns: 17,
        window_start_ns: 2_000_000_000,
        window_end_ns: 12_000_000_000,
        little: Little {
            concurrency: 0.5,
            throughput_per_s: 500.0,
            mean_ns: 1_000_000.5,
        },
        usage: Usage {
            cpu_ns: 1,
            spun_ns: 0,
            run_queue_ns: 2,
            wall_ns: 3,
            busiest_ppm: 4,
            scheduling: None,
        },
        threads: 2,
        closed_idle: 1,
        left_open: 0,
        udp: Some(UdpFigures {
            stream: StreamFigures {
                sent: 100,
                received: 99,
                lost: 1,
                dropped: Some(0),
                ..StreamFigures::default()
            },
            receive_buffer: 212_992,
            host: Some(HostCounters {
                receive_buffer_errors: 0,
                send_buffer_errors: 0,
                checksum_errors: 0,
                no_ports: 1,
            }),
            service: Some(ServiceCounters {
                received: 100,
                answered: 99,
                unsent: 1,
                dropped: None,
                receive_buffer: 212_992,
                sockets: 1,
            }),
            search: None,
        }),
        request_chunks: 1,
        requests: 100,
        accepted_chunks: 0,
    }
}
