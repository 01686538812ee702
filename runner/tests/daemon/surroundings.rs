//! The surroundings of services: services beside the platform, their broker, and the seeding before READY.

use protocol::command::Run;
use protocol::event::{RefusedReason, Stage};
use protocol::spec::{
    BrokerProgram, BrokerSpec, Place, Probe, SeedSpec, ServiceSource, ServiceSpec, StartedProbe, WorkloadService,
};
use protocol::{AttemptId, Event};

use crate::lab::{Lab, fake, name, native, port_of};

/// A service that listens nowhere.
fn silent(service: &str, place: Place, script: &str) -> ServiceSpec {
    ServiceSpec {
        name: name(service),
        place,
        source: ServiceSource::Workload(WorkloadService {
            args: vec!["-c".to_owned(), script.to_owned()],
            port: None,
            ready: Probe::Started(StartedProbe {}),
        }),
    }
}

fn seeded(script: &str) -> Run {
    let mut run = native();
    run.seed = Some(SeedSpec {
        args: vec!["-c".to_owned(), script.to_owned(), "{endpoint:web}".to_owned()],
        deadline_ms: 20_000,
    });
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn services_beside_the_platform_are_started_in_order_seeded_and_stopped() {
    let lab = Lab::new().await;
    let (_runner, mut controller) = lab.serving().await;
    let mut run = fake(0, None);
    let mut beside = native().services.remove(0);
    beside.place = Place::Beside;
    beside.name = name("gateway");
    run.services.push(silent("registry", Place::Platform, "sleep 60"));
    run.services.push(beside);
    let endpoint = lab.state().with_extension("endpoint");
    run.seed = Some(SeedSpec {
        args: vec![
            "-c".to_owned(),
            format!("echo $0 > {}", endpoint.display()),
            "{endpoint:gateway}".to_owned(),
        ],
        deadline_ms: 20_000,
    });
    let (attempt, ready) = controller.ready(&run).await;
    let started: Vec<&str> = ready.startup.iter().map(|it| it.service.as_str()).collect();
    assert_eq!(started, ["web", "registry", "gateway"]);
    let answering: Vec<&str> = ready.endpoints.iter().map(|it| it.service.as_str()).collect();
    assert_eq!(answering, ["web", "gateway"], "the registry listens nowhere");
    assert!(ready.seed_ns.is_some_and(|ns| ns > 0));
    let written = std::fs::read_to_string(&endpoint).unwrap();
    assert_eq!(written.trim(), ready.endpoints[1].address.to_string());
    controller.stop(attempt).await;
    let Event::Summary(summary) = controller.answer().await else {
        panic!("not SUMMARY")
    };
    let names: Vec<&str> = summary.services.iter().map(|it| it.service.as_str()).collect();
    assert_eq!(names, ["web", "registry", "gateway"]);
    assert_eq!(summary.teardown.leftovers, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn seeding_that_fails_or_times_out_is_reported_as_such() {
    let lab = Lab::new().await;
    let (_runner, mut controller) = lab.serving().await;
    let run = seeded("echo 30 users, not 31; exit 1");
    controller.run(AttemptId::fresh(), &run).await;
    assert_eq!(controller.words(1).await, ["ACCEPTED"]);
    let Event::Failed(failed) = controller.answer().await else {
        panic!("not FAILED")
    };
    assert_eq!(failed.stage, Stage::Seed);
    assert!(
        failed.why.contains("exit code 1") && failed.why.contains("30 users, not 31"),
        "{}",
        failed.why
    );
    assert!(failed.logs.iter().any(|log| log.service.as_str() == "seed"));

    let mut run = seeded("sleep 60");
    run.seed.as_mut().unwrap().deadline_ms = 200;
    controller.run(AttemptId::fresh(), &run).await;
    assert_eq!(controller.words(1).await, ["ACCEPTED"]);
    let (stage, why) = controller.failed().await;
    assert!(stage == Stage::Seed && why.contains("200 ms"), "{stage:?} {why}");

    // Nothing of them is left: the port is free and the runner serves.
    let (next, _) = controller.ready(&seeded("exit 0")).await;
    controller.stop(next).await;
    assert_eq!(controller.words(1).await, ["SUMMARY"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_port_in_use_and_reserved_names_are_refused() {
    let lab = Lab::new().await;
    let (_runner, mut controller) = lab.serving().await;
    let mut run = native();
    run.services[0].name = name("kafka");
    run.broker = Some(BrokerSpec {
        program: BrokerProgram::Own,
        port: port_of(&run),
    });
    controller.run(AttemptId::fresh(), &run).await;
    let Event::Refused(refused) = controller.answer().await else {
        panic!("not REFUSED")
    };
    assert_eq!(refused.reason, RefusedReason::Invalid);
    assert!(
        refused.why.contains("service name kafka is reserved") && refused.why.contains("broker's port"),
        "{}",
        refused.why
    );
}
