//! The fake driver serves real requests and fails where it is told to.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use deploy::ready::{self, FirstReply, NotReady};
use deploy::{AnyDriver, Deployment, DeploymentSpec, Driver, Host, Program, Service, Started};
use protocol::ids::AttemptId;
use protocol::spec::{FakeFailure, FakeSpec, HttpProbe, PlatformSpec, Probe, Resources, UdpProbe};
use protocol::summary::Exit;

const LONG: Duration = Duration::from_secs(60);

struct Stage {
    driver: AnyDriver,
    deployment: DeploymentSpec,
    _dir: tempfile::TempDir,
}

fn stage(fail: Option<FakeFailure>) -> Stage {
    let dir = tempfile::tempdir().unwrap();
    let platform = PlatformSpec::Fake(FakeSpec { start_ms: 20, fail });
    let host = Host {
        runner: "test".parse().unwrap(),
        address: "127.0.0.1".parse().unwrap(),
        workload: "/nowhere".into(),
        state: dir.path().into(),
    };
    let service = |name: &str| Service {
        name: name.parse().unwrap(),
        port: Some(7),
        ready: Probe::Http(HttpProbe {
            path: "/".into(),
            status: 200,
            body_bytes: Some(500),
            body: None,
        })
        .into(),
        program: Program::Workload(Vec::new()),
    };
    let two = Service {
        ready: Probe::Udp(UdpProbe {
            packet: "12345678".into(),
            answer: "AAA12345678".into(),
        })
        .into(),
        ..service("two")
    };
    let deployment = DeploymentSpec {
        attempt: AttemptId::fresh(),
        platform: platform.clone(),
        services: vec![service("one"), two],
        resources: Resources::default(),
        logs: dir.path().join("logs"),
        grace: Duration::from_secs(1),
    };
    Stage {
        driver: AnyDriver::for_platform(&platform, &host),
        deployment,
        _dir: dir,
    }
}

async fn wait(stage: &Stage, started: &[Started], patience: Duration) -> Result<Vec<FirstReply>, NotReady> {
    ready::wait(&stage.deployment, &"test".parse().unwrap(), started, patience).await
}

async fn start(stage: &Stage) -> Deployment {
    assert_eq!(stage.driver.probe().await.unmet, None);
    stage.driver.prepare(&stage.deployment).await.unwrap();
    stage.driver.start(&stage.deployment).await.unwrap()
}

#[tokio::test]
async fn it_serves_and_is_gone_after_stop() {
    let stage = stage(None);
    let running = start(&stage).await;
    let started = running.services().to_vec();
    assert!(started[0].process_after >= Duration::from_millis(20));
    assert_eq!(wait(&stage, &started, LONG).await.unwrap().len(), 2);
    assert_eq!(running.pids(&"one".parse().unwrap()), [std::process::id()]);
    assert!(stage.deployment.logs.join("one.log").exists());
    let stopped = running.stop().await;
    assert_eq!(
        stopped.exits.iter().map(|(_, exit)| exit.clone()).collect::<Vec<_>>(),
        [Exit::Code(0), Exit::Code(0)]
    );
    assert_eq!(stopped.teardown.leftovers, [] as [String; 0]);
    assert!(wait(&stage, &started, Duration::from_millis(50)).await.is_err());
}

#[tokio::test]
async fn it_fails_before_it_runs_if_told_to() {
    let probe = stage(Some(FakeFailure::Probe));
    assert!(probe.driver.probe().await.unmet.is_some());
    assert!(probe.driver.prepare(&probe.deployment).await.is_err());
    let prepare = stage(Some(FakeFailure::Prepare));
    assert_eq!(prepare.driver.probe().await.unmet, None);
    assert!(prepare.driver.prepare(&prepare.deployment).await.is_err());
    let start = stage(Some(FakeFailure::Start));
    start.driver.prepare(&start.deployment).await.unwrap();
    assert!(start.driver.start(&start.deployment).await.is_err());
}

#[tokio::test]
async fn it_never_answers_if_told_to() {
    let stage = stage(Some(FakeFailure::Ready));
    let running = start(&stage).await;
    let outcome = wait(&stage, running.services(), Duration::from_millis(1500)).await;
    let last = outcome.unwrap_err().last;
    assert!(last.contains("no complete reply") || last == "no answer", "{last}");
    assert_eq!(running.stop().await.teardown.leftovers, [] as [String; 0]);
}

#[tokio::test]
async fn it_dies_after_ready_if_told_to() {
    let stage = stage(Some(FakeFailure::Exit));
    let mut running = start(&stage).await;
    wait(&stage, running.services(), LONG).await.unwrap();
    let (first, exit) = running.ended().await;
    assert_eq!(exit, Exit::Code(1));
    let (second, _) = running.ended().await;
    assert_ne!(first, second);
    assert_eq!(running.pids(&first), [] as [u32; 0]);
    assert!(
        running
            .stop()
            .await
            .exits
            .iter()
            .all(|(_, exit)| *exit == Exit::Code(1))
    );
}

#[tokio::test]
async fn it_leaves_something_behind_if_told_to() {
    let running = start(&stage(Some(FakeFailure::Teardown))).await;
    assert_eq!(running.stop().await.teardown.leftovers.len(), 1);
}
