//! The messages between controller and loaders.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::command::TrialRef;
use protocol::load::{
    Arrivals, Body, Chunk, DescribedSpec, EchoSpec, Expectation, Fired, HostCounters, HttpRequest, HttpRequests,
    JungMix, JungSpec, LettersSpec, Little, LoadKind, LoadSpec, MachineFacts, MaxLoad, Method, PartSpec, Prepare,
    Prepared, Progress, RateLoad, RequestLabel, RequestOrder, ServiceCounters, Start, Stream, StreamStats, Tally,
    TargetSpec, Think, Timing, TlsSpec, TlsStats, Trust, UdpLoad, UdpStats, Usage, UserRequests, UsersLoad, Wait,
};
use protocol::{Command, Event};

use crate::{check, name};

const TIMING: Timing = Timing {
    warm_up: Duration::from_secs(2),
    duration: Duration::from_secs(10),
    timeout: Duration::from_secs(1),
};

fn prepare(kind: LoadKind, target: TargetSpec) -> Command {
    prepare_http(kind, HttpRequests::default(), target)
}

fn prepare_http(kind: LoadKind, http: HttpRequests, target: TargetSpec) -> Command {
    Command::Prepare(Box::new(Prepare {
        trial: TrialRef {
            experiment: name("first"),
            cell: "docker.tcp.500".into(),
            block: 1,
            attempt: 2,
        },
        load: LoadSpec {
            kind,
            wait: Wait::Spin,
            keep_awake: true,
            http,
        },
        part: PartSpec { index: 1, of: 3 },
        target,
        address: "10.0.0.2:8080".parse().unwrap(),
        seed: 42,
        lease_ms: 15_000,
    }))
}

#[test]
fn loader_commands() {
    let rate = LoadKind::Rate(RateLoad {
        rate_per_s: 500.0,
        timing: TIMING,
        arrivals: Arrivals::Poisson,
        keep_alive: false,
        cpus: vec![2, 3],
    });
    let letters = TargetSpec::Letters(LettersSpec { count: 1000 });
    check("prepare-rate", prepare(rate, letters.clone()));
    let jittered = LoadKind::Rate(RateLoad {
        rate_per_s: 500.0,
        timing: TIMING,
        arrivals: Arrivals::Jittered(Duration::from_millis(2)),
        keep_alive: false,
        cpus: vec![],
    });
    check("prepare-jitter", prepare(jittered, letters.clone()));
    let users = LoadKind::Users(UsersLoad {
        users: 10,
        timing: TIMING,
        requests: Some(UserRequests { each: 500, warm_up: 5 }),
        think: Think::Exponential(Duration::from_micros(1)),
        ramp_up: Duration::ZERO,
        keep_alive: true,
        cpus: vec![],
    });
    let jung = TargetSpec::Jung(JungSpec {
        devices: 30,
        mix: JungMix::TABLE_2,
    });
    check("prepare-users", prepare(users, jung));
    let max = LoadKind::Max(MaxLoad {
        connections: 64,
        timing: TIMING,
        keep_alive: true,
        cpus: vec![],
    });
    check("prepare-max", prepare(max.clone(), letters.clone()));
    check(
        "prepare-described",
        prepare(max.clone(), TargetSpec::Described(DescribedSpec {})),
    );
    check("prepare-http", prepare_http(max, http(), letters));
    let udp = LoadKind::Udp(UdpLoad {
        packets: 100_000,
        size: 1000,
        pace: Duration::from_micros(2),
        window: Some(64),
        search: None,
        timing: TIMING,
        cpus: vec![],
    });
    check("prepare-udp", prepare(udp, TargetSpec::Echo(EchoSpec {})));
    check("start", Command::Start(Start { clock_ns: 17 }));
}

/// Requests with everything that they can have.
fn http() -> HttpRequests {
    let post = HttpRequest {
        label: "order".into(),
        method: Method::Post,
        headers: vec![("Content-Type".into(), "application/json".into())],
        body: Some(Body::of(b"{\"id\": {seq}}".to_vec())),
        template: true,
        weight: 3,
        expect: Some(Expectation {
            status: vec![200, 201],
            length: Some(1000),
            body: Some("all".into()),
            contains: Some("a".into()),
            regex: Some("l+".into()),
            json: BTreeMap::from([("/id".to_owned(), 7.into())]),
            sha256: Some("0".repeat(64)),
        }),
        ..HttpRequest::get("/orders/{seq}")
    };
    let put = HttpRequest {
        label: "/image".into(),
        method: Method::Put,
        body: Some(Body::of(vec![0xff, 0xd8])),
        ..HttpRequest::get("/image")
    };
    HttpRequests {
        requests: vec![post, put],
        order: RequestOrder::Sequence,
        host: Some("shop.example".into()),
        tls: Some(TlsSpec {
            trust: Trust::Ca("-----BEGIN CERTIFICATE-----".into()),
            session_reuse: true,
        }),
    }
}

#[test]
fn loader_events() {
    let facts = MachineFacts {
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
            awake: None,
        },
        threads: 2,
        closed_idle: 1,
        left_open: 0,
        udp: Some(UdpStats {
            stream: StreamStats {
                sent: 100,
                received: 99,
                lost: 1,
                dropped: Some(0),
                ..StreamStats::default()
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
        tls: Some(TlsStats {
            full: 1,
            resumed: 99,
            suites: BTreeMap::from([("TLSv1_3 TLS13_AES_256_GCM_SHA384".to_owned(), 100)]),
        }),
        request_chunks: 1,
        requests: 100,
        accepted_chunks: 0,
    }
}
