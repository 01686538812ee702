//! A golden JSON for every message: what an older or newer release puts on the wire must stay what it was, or the version must rise.
//! `BLESS=1 cargo test -p protocol --test golden` writes them anew.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "golden/load.rs"]
mod load;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;

use protocol::command::{Describe, Edge, Ping, Renew, Run, Stop, StopReason, TrialRef};
use protocol::event::{
    Accepted, Endpoint, Failed, IdleWindow, LogTail, Placement, Pong, Ready, Refused, RefusedReason, Stage, StartUp,
};
use protocol::facts::{
    CpuFacts, HostFacts, HostNow, KernelFacts, MemoryFacts, NumaNode, PlatformFacts, Program, Temperature, Unmet,
};
use protocol::sample::{
    Counter, Counters, Energy, GuestThread, Link, OfService, OneProcess, PlatformProcess, ProcessOf, Rest, RestKind,
    Role, Sample, Samples, Subject, ThreadsOf, WholeHost,
};
use protocol::sign::SigningKey;
use protocol::size::{Part, Size};
use protocol::spec::{
    Acceleration, BridgeSpec, ConnectsProbe, Deadlines, DockerSpec, FakeFailure, FakeSpec, GuestNetwork, GuestSpec,
    HttpProbe, LxcSpec, NativeSpec, PlatformKind, PlatformSpec, Probe, Resources, Sampling, ServiceSpec, StartedProbe,
    UdpProbe, UserNetSpec,
};
use protocol::summary::{
    Exit, HostUse, KernelLogSummary, KernelTrouble, ServiceSummary, Summary, Teardown, TroubleKind,
};
use protocol::surroundings::{BrokerProgram, BrokerSpec, Place, SeedSpec};
use protocol::{AttemptId, Command, Envelope, Epoch, Event, MessageId, Name};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn envelope<B>(body: B) -> Envelope<B> {
    Envelope {
        id: "019a0000-0000-7000-8000-000000000001".parse::<MessageId>().unwrap(),
        in_reply_to: Some("019a0000-0000-7000-8000-000000000002".parse().unwrap()),
        host: name("lab-2"),
        attempt: Some("019a0000-0000-7000-8000-000000000003".parse::<AttemptId>().unwrap()),
        epoch: Epoch(1_764_000_000_000),
        controller: name("night"),
        sent_unix_ms: 1_764_000_000_123,
        body,
    }
}

fn key() -> SigningKey {
    SigningKey::new(b"a key only for the golden files").unwrap()
}

fn check<B: Serialize + DeserializeOwned + PartialEq + Debug>(file: &str, body: B) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(format!("{file}.json"));
    let envelope = envelope(body);
    let text = String::from_utf8(envelope.encode(Some(&key())).unwrap()).unwrap() + "\n";
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text, golden, "{file}: what goes over the wire has changed");
    assert_eq!(Envelope::decode(golden.as_bytes(), Some(&key())).unwrap(), envelope);
    unknown_field_is_refused::<B>(&golden);
}

/// Puts an unknown field into the message's own struct: it must be named.
fn unknown_field_is_refused<B: Serialize + DeserializeOwned + Debug>(golden: &str) {
    let mut json: serde_json::Value = serde_json::from_str(golden).unwrap();
    let body = json["body"].as_object_mut().unwrap().values_mut().next().unwrap();
    body.as_object_mut().unwrap().insert("surprise".into(), 1.into());
    let error = Envelope::<B>::decode(json.to_string().as_bytes(), None).unwrap_err();
    assert!(error.to_string().contains("surprise"), "{error}");
}

fn services() -> Vec<ServiceSpec> {
    vec![
        ServiceSpec {
            name: name("tcp"),
            place: Place::Platform,
            args: ["tcp", "--listen", "{listen}"].map(str::to_owned).to_vec(),
            port: Some(8080),
            ready: Probe::Http(HttpProbe {
                path: "/".into(),
                status: 200,
                body_bytes: Some(1000),
            }),
        },
        ServiceSpec {
            name: name("udp"),
            place: Place::Platform,
            args: ["udp", "--listen", "{listen}"].map(str::to_owned).to_vec(),
            port: Some(8081),
            ready: Probe::Udp(UdpProbe {
                packet: "12345678".into(),
                answer: "AAA12345678".into(),
            }),
        },
    ]
}

fn run(platform: PlatformSpec) -> Command {
    Command::Run(Box::new(Run {
        trial: TrialRef {
            experiment: name("first"),
            cell: "docker.tcp.500".into(),
            block: 1,
            attempt: 2,
        },
        platform,
        services: services(),
        broker: None,
        seed: None,
        resources: Resources {
            cpuset: Some("0-1,3".parse().unwrap()),
            mems: Some("0".parse().unwrap()),
            memory_mib: Some(128),
        },
        sampling: Sampling {
            interval_ms: 1000,
            idle_ms: 500,
        },
        deadlines: Deadlines {
            prepare_ms: 60_000,
            ready_ms: 30_000,
            lease_ms: 15_000,
            grace_ms: 5000,
        },
    }))
}

/// Services at two places, with a broker of their own, filled before READY.
fn surrounded() -> Command {
    let Command::Run(mut run) = run(PlatformSpec::Native(NativeSpec {})) else {
        panic!("not a RUN")
    };
    let mut silent = services().remove(0);
    (silent.name, silent.port) = (name("registry"), None);
    silent.ready = Probe::Started(StartedProbe {});
    run.services[0].place = Place::Beside;
    run.services[0].ready = Probe::Connects(ConnectsProbe {});
    run.services.insert(0, silent);
    run.broker = Some(BrokerSpec {
        program: BrokerProgram::Apache,
        port: 19_092,
    });
    run.seed = Some(SeedSpec {
        args: vec!["seed".into(), "{endpoint:tcp}".into()],
        deadline_ms: 60_000,
    });
    Command::Run(run)
}

#[test]
fn commands() {
    let guest = |guest: &str, acceleration, network, vcpus| GuestSpec {
        guest: name(guest),
        acceleration,
        network,
        vcpus,
    };
    let bridge = |vhost| GuestNetwork::Bridge(BridgeSpec { vhost });
    let user = GuestNetwork::User(UserNetSpec {});
    let platforms = vec![
        PlatformSpec::Osv(guest("osv", Acceleration::Auto, bridge(true), Some(2))),
        PlatformSpec::Includeos(guest("includeos", Acceleration::Tcg, user.clone(), None)),
        PlatformSpec::LinuxVm(guest("linux", Acceleration::Kvm, bridge(false), None)),
        PlatformSpec::Guest(guest("mine", Acceleration::Tcg, user, Some(1))),
        PlatformSpec::Native(NativeSpec {}),
        PlatformSpec::Lxc(LxcSpec {}),
        PlatformSpec::Docker(DockerSpec {
            publish: true,
            image: Some("mine:1".into()),
            runtime: Some("runsc".parse().unwrap()),
            socket: Some("unix:///run/podman/podman.sock".parse().unwrap()),
            ..DockerSpec::default()
        }),
        PlatformSpec::Fake(FakeSpec {
            start_ms: 5,
            fail: Some(FakeFailure::Ready),
        }),
    ];
    check("describe", Command::Describe(Describe { platforms }));
    check("ping", Command::Ping(Ping {}));
    check(
        "run",
        run(PlatformSpec::Docker(DockerSpec {
            publish: false,
            image: None,
            ..DockerSpec::default()
        })),
    );
    check("run-surrounded", surrounded());
    check("renew", Command::Renew(Renew {}));
    check("edge", Command::Edge(Edge {}));
    check(
        "stop",
        Command::Stop(Stop {
            reason: StopReason::Finished,
        }),
    );
}

#[test]
fn events() {
    check("facts", Event::Facts(Box::new(facts())));
    check("pong", Event::Pong(Pong { clock_ns: 17 }));
    check("accepted", Event::Accepted(Accepted {}));
    check(
        "refused",
        Event::Refused(Refused {
            reason: RefusedReason::Held,
            why: "held by controller day".into(),
        }),
    );
    check(
        "ready",
        Event::Ready(Ready {
            clock_ns: 18,
            endpoints: vec![Endpoint {
                service: name("tcp"),
                address: "172.17.0.2:8080".parse().unwrap(),
            }],
            startup: vec![StartUp {
                service: name("tcp"),
                process_ns: 1,
                first_output_ns: Some(3),
                first_reply_ns: 4,
            }],
            prepare_ns: 3,
            seed_ns: None,
            idle: Some(IdleWindow {
                length_ns: 500_000_000,
                host: HostUse {
                    idle_ticks: 100,
                    ..HostUse::default()
                },
            }),
            placement: vec![Placement {
                service: name("tcp"),
                cpus: Some("0-1,3".parse().unwrap()),
                mems: None,
            }],
            deviations: vec!["no memory limit".into()],
        }),
    );
    check(
        "ready-seeded",
        Event::Ready(Ready {
            clock_ns: 18,
            endpoints: vec![],
            startup: vec![],
            prepare_ns: 3,
            seed_ns: Some(7),
            idle: None,
            placement: vec![],
            deviations: vec![],
        }),
    );
    check("samples", Event::Samples(samples()));
    check("summary", Event::Summary(summary()));
    check(
        "failed",
        Event::Failed(Failed {
            stage: Stage::Ready,
            why: "no correct reply".into(),
            logs: vec![LogTail {
                service: name("tcp"),
                text: "panic\n".into(),
            }],
            teardown: Teardown {
                leftovers: vec!["pid 17".into()],
            },
        }),
    );
}

fn facts() -> HostFacts {
    HostFacts {
        host: name("lab-2"),
        runner_version: "0.1.0".into(),
        runner_cpus: Some("0".parse().unwrap()),
        os: "Debian 12".into(),
        kernel: "6.1.0".into(),
        arch: "x86_64".into(),
        cpu_model: "a CPU".into(),
        cpus: 2,
        memory_bytes: 1 << 34,
        clock_ticks_per_s: 100,
        page_bytes: 4096,
        cgroup_version: Some(2),
        kvm_opens: false,
        cpu: CpuFacts {
            sockets: Some(1),
            cores: Some(2),
            smt: Some(false),
            nodes: vec![NumaNode {
                node: 0,
                cpus: Some("0-1".parse().unwrap()),
                memory_bytes: Some(1 << 34),
            }],
            governor: Some("performance".into()),
            driver: Some("intel_pstate".into()),
            min_khz: Some(800_000),
            max_khz: Some(3_000_000),
            turbo: Some(false),
            idle_driver: Some("intel_idle".into()),
            idle_states: vec!["POLL".into(), "C1".into()],
            microcode: Some("0x1".into()),
            isolated: Some("1".parse().unwrap()),
            nohz_full: None,
            is_virtual: Some(false),
        },
        settings: KernelFacts {
            build: Some("#1 SMP".into()),
            command_line: Some("quiet isolcpus=1".into()),
            boot_id: Some("019a0000-0000-4000-8000-000000000009".into()),
            clocksource: Some("tsc".into()),
            aslr: Some(2),
            mitigations: BTreeMap::from([("meltdown".into(), "Mitigation: PTI".into())]),
            halt_poll_ns: Some(200_000),
        },
        memory: MemoryFacts {
            thp: Some("madvise".into()),
            ksm: Some(false),
            swap_bytes: Some(0),
            swappiness: Some(60),
            overcommit: Some(0),
            huge_pages: Some(0),
        },
        now: HostNow {
            load_1m: Some(0.25),
            busy_ticks: Some(1000),
            all_ticks: Some(9000),
            available_bytes: Some(1 << 33),
            dirty_bytes: Some(4096),
            swap_used_bytes: Some(0),
            temperatures: vec![Temperature {
                sensor: "x86_pkg_temp".into(),
                millidegrees: 41_000,
            }],
            throttles: Some(0),
            kernel_log: Some(815),
        },
        programs: vec![Program {
            path: "/usr/bin/dockerd".into(),
            bytes: 75_181_184,
            sha256: "00".repeat(32),
        }],
        platforms: vec![PlatformFacts {
            kind: PlatformKind::Docker,
            unmet: Some(Unmet {
                need: "no engine".into(),
                remedy: "install one".into(),
            }),
            details: BTreeMap::from([("engine".into(), "20.10".into())]),
        }],
    }
}

fn samples() -> Samples {
    let of = OfService { service: name("tcp") };
    let subjects = [
        Subject::Cgroup(of.clone()),
        Subject::Process(ProcessOf {
            service: name("tcp"),
            pid: 17,
            start_ticks: 4711,
        }),
        Subject::Threads(ThreadsOf {
            service: name("tcp"),
            role: Role::Vcpu,
        }),
        Subject::Platform(PlatformProcess {
            part: name("dockerd"),
            service: None,
            pid: 18,
            start_ticks: 4712,
        }),
        Subject::Runner(OneProcess {
            pid: 19,
            start_ticks: 4713,
        }),
        Subject::Rest(Rest { kind: RestKind::Kernel }),
        Subject::Host(WholeHost {}),
        Subject::Link(Link {
            service: Some(name("tcp")),
            interface: "eth0".into(),
        }),
        Subject::Engine(of.clone()),
        Subject::Guest(of),
        Subject::GuestThread(GuestThread {
            service: name("tcp"),
            id: 7,
            name: "/workload".into(),
        }),
        Subject::Energy(Energy {
            domain: "package-0".into(),
        }),
    ];
    let counters = |number: usize| {
        let value = |counter: &Counter| (*counter, number as u64);
        Counters::from_iter(Counter::ALL[number..].iter().step_by(9).map(value))
    };
    let sample = |(number, of)| Sample {
        offset_ns: 1_000_000_000,
        of,
        counters: counters(number),
    };
    Samples {
        batch: 0,
        samples: subjects.into_iter().enumerate().map(sample).collect(),
    }
}

fn summary() -> Summary {
    Summary {
        services: vec![ServiceSummary {
            service: name("tcp"),
            pids: vec![17],
            samples: 11,
            user_ticks: 10,
            system_ticks: 20,
            cpu_ns: None,
            rss_mean_bytes: 4096,
            rss_max_bytes: 8192,
            exit: Exit::Code(0),
            sizes: vec![Size {
                part: Part::Program,
                id: "/opt/jung/workload".into(),
                bytes: 1 << 20,
            }],
        }],
        batches: 11,
        samples: 11,
        missed_ticks: 0,
        sampler_cpu_ns: 1000,
        host: HostUse {
            user_ticks: 1,
            system_ticks: 2,
            interrupt_ticks: 3,
            idle_ticks: 4,
            steal_ticks: 5,
        },
        kernel_log: KernelLogSummary {
            is_readable: true,
            messages: 2,
            troubles: vec![KernelTrouble {
                kind: TroubleKind::GroupOutOfMemory,
                text: "Memory cgroup out of memory: Killed process 17".into(),
            }],
        },
        notes: vec!["no io".into()],
        teardown: Teardown::default(),
    }
}
