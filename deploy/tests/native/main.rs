//! The native driver with real processes, which leave nothing behind however they behave.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod described;
mod lab;
mod limits;
mod namespace;
mod sweep;

use std::time::{Duration, Instant};

use deploy::{DeployError, Driver, ready};
use lab::{Lab, eventually};
use protocol::size::Part;
use protocol::summary::Exit;

#[tokio::test]
async fn a_service_replies_at_its_endpoint_and_stops_when_asked() {
    let lab = Lab::new();
    let deployment = lab.deployment(&[lab.http("web")]);
    let mut running = lab.native().start(&deployment).await.unwrap();
    let started = running.services().to_vec();
    let replies = tokio::select! {
        replies = ready::wait(&deployment, &lab.host.runner, &started, Duration::from_secs(60)) => replies.unwrap(),
        (name, exit) = running.ended() => panic!("{name} ended: {exit:?}, {}", lab.log("web")),
    };
    assert_eq!(replies.len(), 1);
    assert!(running.pids(&lab::name("web")).contains(&started[0].pid));
    let stopped = running.stop().await;
    assert_eq!(stopped.exits, [(lab::name("web"), Exit::Signal(15))]);
    let program = std::fs::metadata(&lab.host.workload).unwrap().len();
    let parts: Vec<_> = stopped.sizes[0].1.iter().map(|size| (size.part, size.bytes)).collect();
    assert_eq!(parts, [(Part::Program, program)]);
    assert_eq!(stopped.teardown.leftovers, [] as [String; 0]);
}

#[tokio::test]
async fn descendants_are_killed_even_outside_the_process_group() {
    for lab in [Lab::new(), Lab::without_cgroups()] {
        let deployment = lab.deployment(&[lab.shell(
            "tree",
            "sleep 600 & setsid sleep 600 & (trap '' TERM; sleep 600) & env -i sleep 600 & wait",
        )]);
        let running = lab.driver().start(&deployment).await.unwrap();
        eventually("the whole tree", || running.pids(&lab::name("tree")).len() >= 5).await;
        let pids = running.pids(&lab::name("tree"));
        assert_eq!(running.stop().await.teardown.leftovers, [] as [String; 0]);
        assert!(pids.iter().all(|&pid| !lab::alive(pid)), "{pids:?}");
    }
}

#[tokio::test]
async fn a_service_that_ignores_sigterm_is_killed_after_the_grace_period() {
    let lab = Lab::new();
    let script = "trap '' TERM; echo deaf; while :; do sleep 1; done";
    let mut deployment = lab.deployment(&[lab.shell("deaf", script)]);
    deployment.grace = Duration::from_millis(200);
    let running = lab.native().start(&deployment).await.unwrap();
    eventually("the trap", || lab.log("deaf").contains("deaf")).await;
    let before = Instant::now();
    let stopped = running.stop().await;
    assert_eq!(stopped.exits[0].1, Exit::Killed);
    assert_eq!(stopped.teardown.leftovers, [] as [String; 0]);
    assert!(before.elapsed() >= deployment.grace);
}

#[tokio::test]
async fn dropping_kills() {
    let lab = Lab::new();
    let running = lab
        .native()
        .start(&lab.deployment(&[lab.shell("long", "sleep 600 & sleep 600")]))
        .await
        .unwrap();
    eventually("both", || running.pids(&lab::name("long")).len() >= 3).await;
    let pids = running.pids(&lab::name("long"));
    drop(running);
    eventually("nobody", || pids.iter().all(|&pid| !lab::alive(pid))).await;
}

#[tokio::test]
async fn every_spontaneous_end_is_reported_once() {
    let lab = Lab::new();
    let services = [
        lab.shell("code", "exit 3"),
        lab.shell("signal", "kill -9 $$"),
        lab.shell("stays", "exec sleep 600"),
    ];
    let mut running = lab.native().start(&lab.deployment(&services)).await.unwrap();
    let mut ends = vec![running.ended().await, running.ended().await];
    ends.sort_by_key(|(name, _)| name.clone());
    assert_eq!(
        ends,
        [
            (lab::name("code"), Exit::Code(3)),
            (lab::name("signal"), Exit::Signal(9))
        ]
    );
    let third = tokio::time::timeout(Duration::from_millis(100), running.ended()).await;
    assert!(third.is_err(), "{third:?}");
    assert_eq!(running.pids(&lab::name("code")), [] as [u32; 0]);
    let exits = running.stop().await.exits;
    assert_eq!(
        exits.iter().map(|(_, exit)| exit.clone()).collect::<Vec<_>>(),
        [Exit::Code(3), Exit::Signal(9), Exit::Signal(15)]
    );
}

#[tokio::test]
async fn a_port_in_use_is_found_before_anything_is_started() {
    let lab = Lab::new();
    let services = [lab.shell("first", "echo started; sleep 600"), lab.http("web")];
    let _listener = std::net::TcpListener::bind(("127.0.0.1", services[1].port.unwrap())).unwrap();
    let error = lab.native().start(&lab.deployment(&services)).await.unwrap_err();
    assert!(
        matches!(&error, DeployError::PortTaken { service, .. } if service.as_str() == "web"),
        "{error}"
    );
    assert_eq!(lab.log("first"), "");
}

#[tokio::test]
async fn if_the_second_service_fails_to_start_the_first_is_gone() {
    let lab = Lab::new();
    std::fs::create_dir_all(lab.logs().join("second.log")).unwrap();
    let services = [
        lab.shell("first", "echo $$; exec sleep 600"),
        lab.shell("second", "sleep 600"),
    ];
    let error = lab
        .native()
        .start(&lab.deployment(&services))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("for service second"), "{error}");
    let pid = lab.log("first").trim().parse::<u32>().ok();
    assert!(pid.is_none_or(|pid| !lab::alive(pid)), "{pid:?}");
    assert_eq!(lab.native().sweep().await.unwrap(), [] as [String; 0]);
}

#[tokio::test]
async fn a_missing_program_is_unmet_with_a_remedy() {
    let mut lab = Lab::new();
    lab.host.workload = "/nowhere/workload".into();
    let unmet = lab.native().probe().await.unmet.unwrap();
    assert!(
        unmet.need.contains("/nowhere/workload") && unmet.remedy.contains("build"),
        "{unmet:?}"
    );
    let deployment = lab.deployment(&[lab.shell("any", "")]);
    assert!(lab.native().prepare(&deployment).await.is_err());
    let error = lab.native().start(&deployment).await.unwrap_err().to_string();
    assert!(error.contains("/nowhere/workload"), "{error}");
}
