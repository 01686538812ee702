//! Each preset against the real program with a real service: the figures that it must find, and a service that is not there.

use std::net::SocketAddr;
use std::path::PathBuf;

use loader::external::External;
use loader::{Control, EngineSpec, Outcome, Part, build_engine};
use protocol::load::{CommandLoad, EchoSpec, HttpRequests, LoadKind, LoadSpec, TargetSpec, Wait};
use testkit::free_port;

use crate::load;
use crate::servers::Server;

/// Runs a load as the controller does.
fn run(load: CommandLoad, address: SocketAddr) -> Outcome {
    let spec = LoadSpec {
        kind: LoadKind::Command(Box::new(load)),
        wait: Wait::Sleep,
        keep_awake: true,
        http: HttpRequests::default(),
    };
    let engine = build_engine(
        EngineSpec {
            load: &spec,
            part: Part::WHOLE,
            seed: 7,
            target: &TargetSpec::Echo(EchoSpec {}),
            address,
        },
        &loader::jung::AcceptedCommands::default(),
    );
    engine.unwrap().run(&Control::new()).unwrap()
}

/// The program must succeed, tell every figure, and none of its requests may fail.
#[track_caller]
fn succeeds(load: CommandLoad, server: &Server) -> External {
    let outcome = run(load, server.address);
    let external = outcome.external.clone().unwrap();
    assert_eq!(external.failure, None, "{external:#?}");
    for figure in &external.figures {
        let value = figure
            .value
            .unwrap_or_else(|| panic!("{} is absent: {external:#?}", figure.spec.name));
        let is_main = figure.spec.name.as_str() == "throughput";
        assert!(
            value > 0.0 || (!is_main && value == 0.0),
            "{} = {value}: {external:#?}",
            figure.spec.name
        );
    }
    if external.counts {
        assert!(
            outcome.counts.succeeded > 0 && outcome.counts.failed() == 0,
            "{:?}: {external:#?}",
            outcome.counts
        );
    }
    assert_eq!(external.sha256.as_ref().map(String::len), Some(64));
    external
}

/// Without a service the program must fail, or all of its requests.
#[track_caller]
fn fails_without_a_service(load: CommandLoad) {
    let outcome = run(load, SocketAddr::from(([127, 0, 0, 1], free_port())));
    let external = outcome.external.clone().unwrap();
    let (failed, due) = (outcome.counts.failed(), outcome.counts.due);
    assert!(
        external.failure.is_some() || (due > 0 && failed == due),
        "{:?}: {external:#?}",
        outcome.counts
    );
}

/// What registries other than Debian's have is kept in the cache of `deploy/setup.sh`.
fn cached(program: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
    let path = cache.join("jung").join(program);
    assert!(
        path.exists(),
        "{} is missing: deploy/setup.sh load-programs",
        path.display()
    );
    path
}

const SHORT: &str = "duration = \"1s\"\nwarm_up = \"0s\"";

#[test]
#[ignore = "needs load programs"]
fn wrk() {
    let server = Server::http();
    let told = format!("{SHORT}\nparameters = {{ connections = 4 }}");
    let external = succeeds(load("wrk", &told), &server);
    assert!(external.version.unwrap().starts_with("wrk "));
    let missing = run(
        load(
            "wrk",
            &format!("{SHORT}\nparameters = {{ connections = 4, path = \"/none\" }}"),
        ),
        server.address,
    );
    assert_eq!(
        (missing.counts.succeeded, missing.counts.failed()),
        (0, missing.counts.due),
        "every reply is a 404"
    );
    fails_without_a_service(load("wrk", &told));
}

#[test]
#[ignore = "needs load programs"]
fn a_warm_up_is_a_separate_run_of_wrk() {
    let server = Server::http();
    let warm = load(
        "wrk",
        "duration = \"1s\"\nwarm_up = \"1s\"\nparameters = { connections = 2 }",
    );
    assert!(warm.warms_up_separately());
    succeeds(warm, &server);
}

#[test]
#[ignore = "needs load programs"]
fn ab() {
    let told = format!("{SHORT}\nparameters = {{ connections = 4 }}");
    let external = succeeds(load("ab", &told), &Server::http());
    assert!(external.version.unwrap().contains("ApacheBench"));
    fails_without_a_service(load("ab", &told));
}

#[test]
#[ignore = "needs load programs"]
fn hey() {
    let told = format!("{SHORT}\nparameters = {{ connections = 4 }}");
    succeeds(load("hey", &told), &Server::http());
    fails_without_a_service(load("hey", &told));
}

#[test]
#[ignore = "needs load programs"]
fn oha() {
    let program = cached("oha/bin/oha");
    let told = format!(
        "{SHORT}\nprogram = \"{}\"\nparameters = {{ connections = 4 }}",
        program.display()
    );
    let external = succeeds(load("oha", &told), &Server::http());
    assert!(external.version.unwrap().starts_with("oha "));
    // It has no response time then.
    fails_without_a_service(load("oha", &told));
}

#[test]
#[ignore = "needs load programs"]
fn vegeta() {
    let folder = cached("tools/bin/vegeta").parent().unwrap().display().to_string();
    let path = std::env::var("PATH").unwrap();
    let told = format!("{SHORT}\nenvironment = {{ PATH = \"{folder}:{path}\" }}\nparameters = {{ rate = 100 }}");
    let server = Server::http();
    succeeds(load("vegeta", &told), &server);
    // A path is an argument, and not read by the shell.
    let mark = server.folder().join("injected");
    let hostile = told.replace(
        "rate = 100",
        &format!("rate = 100, path = \"/$(touch {0});touch {0}\"", mark.display()),
    );
    run(load("vegeta", &hostile), server.address);
    assert!(!mark.exists());
    fails_without_a_service(load("vegeta", &told));
}

#[test]
#[ignore = "needs load programs"]
fn redis_benchmark() {
    let told = "parameters = { requests = 5000, connections = 4, keys = 100 }";
    let external = succeeds(load("redis-benchmark", told), &Server::redis());
    assert!(external.version.unwrap().starts_with("redis-benchmark "));
    // Without a server it would try for ever.
    fails_without_a_service(load("redis-benchmark", &format!("{told}\ntime_limit = \"3s\"")));
}

#[test]
#[ignore = "needs load programs"]
fn dnsperf() {
    let server = Server::dns();
    let told = format!("{SHORT}\nparameters = {{ rate = 200 }}");
    let external = succeeds(load("dnsperf", &told), &server);
    assert!(external.version.unwrap().contains("DNS Performance Testing Tool"));
    let names = server.folder().join("own-names");
    std::fs::write(&names, "a.example A\nb.example A\n").unwrap();
    let own = told.replace("rate = 200", &format!("rate = 200, names = \"{}\"", names.display()));
    succeeds(load("dnsperf", &own), &server);
    fails_without_a_service(load("dnsperf", &format!("{told}\ntimeout = \"1s\"")));
}

#[test]
#[ignore = "needs load programs"]
fn iperf3() {
    let server = Server::iperf3();
    let external = succeeds(load("iperf3", "duration = \"1s\"\nwarm_up = \"1s\""), &server);
    assert!(external.version.unwrap().starts_with("iperf 3"));
    assert!(external.figures[0].value.unwrap() > 1.0, "{:?}", external.figures);
    fails_without_a_service(load("iperf3", SHORT));
}

#[test]
#[ignore = "needs load programs"]
fn kafka_producer_perf_test() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kafka/producer-perf-test.sh");
    let told = format!(
        "program = \"{script}\"\nparameters = {{ records = 3000, warm_up_records = 500, rate = 2000 }}\ntime_limit = \"2m\""
    );
    succeeds(load("kafka-producer-perf-test", &told), &Server::kafka());
}

#[test]
#[ignore = "needs load programs"]
fn sysbench() {
    let server = Server::postgres();
    let told = "duration = \"1s\"\nwarm_up = \"1s\"\nparameters = { rows = 200, test = \"oltp_read_only\" }";
    let external = succeeds(load("sysbench", told), &server);
    assert!(external.version.unwrap().starts_with("sysbench 1"));
    fails_without_a_service(load("sysbench", told));
}
