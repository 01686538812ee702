//! Golden files of every message: the wire format must not change unless the version is raised.
//! `BLESS=1 cargo test -p protocol --test golden` rewrites them.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "golden/contents.rs"]
mod contents;
#[path = "golden/load.rs"]
mod load;

use std::fmt::Debug;
use std::path::PathBuf;

use protocol::command::{Describe, Edge, Ping, Renew, Run, Stop, StopReason, TrialRef};
use protocol::event::{
    Accepted, Endpoint, Failed, IdleWindow, LogTail, Placement, Pong, Ready, Refused, RefusedReason, Stage, StartUp,
};
use protocol::facts::{ImageRecord, Program, ServiceRecord};
use protocol::sign::SigningKey;
use protocol::spec::{
    Acceleration, BridgeSpec, BrokerProgram, BrokerSpec, ConnectsProbe, Deadlines, DockerSpec, Emulation, FakeFailure,
    FakeSpec, GuestNetwork, GuestSpec, HttpProbe, LxcSpec, NamedService, NativeSpec, Parameter, Place, PlatformSpec,
    Probe, Resources, Sampling, SeedSpec, ServiceSource, ServiceSpec, StartedProbe, UdpProbe, UserNetSpec,
    WorkloadService,
};
use protocol::summary::{HostUsage, Teardown};
use protocol::{AttemptId, Command, Envelope, Epoch, Event, MessageId, Name};
use serde::Serialize;
use serde::de::DeserializeOwned;

use contents::{facts, samples, summary};

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
    assert_eq!(text, golden, "{file}: the wire format has changed");
    assert_eq!(Envelope::decode(golden.as_bytes(), Some(&key())).unwrap(), envelope);
    unknown_field_is_refused::<B>(&golden);
}

/// An unknown field in the body must be refused by name.
fn unknown_field_is_refused<B: Serialize + DeserializeOwned + Debug>(golden: &str) {
    let mut json: serde_json::Value = serde_json::from_str(golden).unwrap();
    let body = json["body"].as_object_mut().unwrap().values_mut().next().unwrap();
    body.as_object_mut().unwrap().insert("surprise".into(), 1.into());
    let error = Envelope::<B>::decode(json.to_string().as_bytes(), None).unwrap_err();
    assert!(error.to_string().contains("surprise"), "{error}");
}

fn services() -> Vec<ServiceSpec> {
    vec![
        workload(
            "tcp",
            Some(8080),
            Probe::Http(HttpProbe {
                path: "/".into(),
                status: 200,
                body_bytes: Some(1000),
                body: None,
            }),
        ),
        workload(
            "udp",
            Some(8081),
            Probe::Udp(UdpProbe {
                packet: "12345678".into(),
                answer: "AAA12345678".into(),
            }),
        ),
    ]
}

fn workload(service: &str, port: Option<u16>, ready: Probe) -> ServiceSpec {
    ServiceSpec {
        name: name(service),
        place: Place::Platform,
        source: ServiceSource::Workload(WorkloadService {
            args: [service, "--listen", "{listen}"].map(str::to_owned).to_vec(),
            port,
            ready,
        }),
    }
}

/// A service by the name of its description, and one whose description is in the message.
fn described() -> Vec<ServiceSpec> {
    let parameters = [
        ("port", Parameter::Integer(8080)),
        ("quiet", Parameter::Boolean(true)),
        ("policy", Parameter::Text("lru".into())),
    ];
    let parameters = parameters.map(|(name, value)| (name.parse().unwrap(), value));
    let text = r#"
protocol = "tcp"
parameters = { port = 6379 }
[[file]]
path = "redis.conf"
contents = "port {port}"
[[file]]
path = "data"
bytes = "1KiB"
fill = "random"
[[file]]
path = "run"
from = "run.sh"
executable = true
[native]
program = "redis-server"
args = ["{dir}/redis.conf"]
env = { "LC_ALL" = "C" }
user = "redis"
directory = "/"
include = ["/etc/redis"]
[container]
image = "lab:5000/redis:7"
pull = "always"
args = ["--port", "{port}"]
env = { "LC_ALL" = "C" }
user = "redis"
port = 6379
directory = "/data"
volumes = { "/etc/redis.conf" = "redis.conf" }
[guest]
root = "root"
program = "/redis"
args = ["{port}"]
[ready]
kind = "redis"
interval = "5ms"
timeout = "10s"
[[seed]]
kind = "command"
program = "redis-cli"
args = ["-p", "{port}", "ping"]
[[seed]]
kind = "http"
path = "/{index}"
[[seed]]
kind = "redis"
keys = 1000
value_bytes = "1KiB"
"#;
    let description = protocol::description::parse("golden", text).unwrap();
    let service = |service: &str, source| ServiceSpec {
        name: name(service),
        place: Place::Platform,
        source,
    };
    vec![
        service(
            "web",
            ServiceSource::Named(NamedService {
                description: name("nginx"),
                parameters: parameters.into(),
            }),
        ),
        service("cache", ServiceSource::Inline(Box::new(description))),
    ]
}

fn run_described() -> Command {
    let Command::Run(mut run) = run(PlatformSpec::Native(NativeSpec {})) else {
        panic!("not a RUN")
    };
    run.services = described();
    Command::Run(run)
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
            seed_ms: 60_000,
            grace_ms: 5000,
        },
    }))
}

/// Services at two places, with their own broker, seeded before READY.
fn with_surroundings() -> Command {
    let Command::Run(mut run) = run(PlatformSpec::Native(NativeSpec {})) else {
        panic!("not a RUN")
    };
    run.services[0] = workload("tcp", Some(8080), Probe::Connects(ConnectsProbe {}));
    run.services[0].place = Place::Beside;
    let silent = workload("registry", None, Probe::Started(StartedProbe {}));
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
    check(
        "describe",
        Command::Describe(Describe {
            platforms,
            services: described(),
        }),
    );
    check("ping", Command::Ping(Ping {}));
    check(
        "run",
        run(PlatformSpec::Docker(DockerSpec {
            publish: false,
            image: None,
            ..DockerSpec::default()
        })),
    );
    check("run-surrounded", with_surroundings());
    check("run-described", run_described());
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
                host: HostUsage {
                    idle_ticks: 100,
                    ..HostUsage::default()
                },
            }),
            placement: vec![Placement {
                service: name("tcp"),
                cpus: Some("0-1,3".parse().unwrap()),
                mems: None,
            }],
            deviations: vec!["no memory limit".into()],
            emulation: None,
            services: vec![],
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
            emulation: None,
            services: vec![],
        }),
    );
    check(
        "ready-emulated",
        Event::Ready(Ready {
            clock_ns: 18,
            endpoints: vec![],
            startup: vec![],
            prepare_ns: 3,
            seed_ns: None,
            idle: None,
            placement: vec![],
            deviations: vec![],
            emulation: Some(Emulation {
                kvm_failure: Some("/dev/kvm does not exist".into()),
            }),
            services: vec![ServiceRecord {
                service: name("web"),
                description: Some(name("nginx")),
                sha256: "ab".repeat(32),
                program: Some(Program {
                    path: "/usr/sbin/nginx".into(),
                    bytes: 1_300_000,
                    sha256: "cd".repeat(32),
                }),
                image: Some(ImageRecord {
                    name: "nginx:1.27".into(),
                    id: format!("sha256:{}", "ef".repeat(32)),
                    digests: vec![format!("nginx@sha256:{}", "12".repeat(32))],
                }),
            }],
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
