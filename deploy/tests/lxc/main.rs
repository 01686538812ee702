//! The LXC driver with real containers and the real static workload.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod lab;
#[path = "../services/mod.rs"]
mod services;

use std::time::Duration;

use deploy::{Driver, ready};
use lab::{Lab, alive, name};
use protocol::size::{Part, totals};
use protocol::spec::Resources;
use protocol::summary::Exit;

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
#[ignore = "needs LXC and root"]
async fn services_run_within_their_limits_and_leave_nothing() {
    let lab = Lab::new();
    let facts = lab.driver.probe().await;
    assert_eq!(facts.unmet, None);
    assert!(facts.details.contains_key("lxc"), "{:?}", facts.details);
    let mut deployment = lab.deployment(&[lab.tcp("one", &[]), lab.udp("two")]);
    deployment.resources = Resources {
        cpuset: Some("0".parse().unwrap()),
        memory_mib: Some(64),
        ..Resources::default()
    };
    lab.driver.prepare(&deployment).await.unwrap();
    let running = lab.driver.start(&deployment).await.unwrap();
    let started = running.services().to_vec();
    assert_eq!(
        ready::wait(&deployment, &lab.host.runner, &started, LONG)
            .await
            .unwrap()
            .len(),
        2
    );
    assert_ne!(started[0].endpoint.unwrap().ip(), started[1].endpoint.unwrap().ip());
    let monitors = running.platform_processes();
    assert_eq!(monitors.len(), 2, "one monitor each: {monitors:?}");
    for (started, monitor) in started.iter().zip(&monitors) {
        assert_eq!(running.pids(&started.service), [started.pid]);
        let status = std::fs::read_to_string(format!("/proc/{}/status", started.pid)).unwrap();
        assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
        assert!(
            status.contains("CapEff:\t00000000a80425fb\n"),
            "Docker's default: {status}"
        );
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap();
        assert_eq!(parent, monitor.pid.to_string());
        assert!(running.interface(&started.service).is_some());
        assert!(running.first_output(&started.service).is_some());
    }
    assert_eq!(lab.limit("one", deployment.attempt), 64 << 20);
    assert_eq!(running.deviations(), [] as [String; 0]);

    let stopped = running.stop().await;
    assert_eq!(
        stopped.exits,
        [(name("one"), Exit::Code(0)), (name("two"), Exit::Code(0))],
        "{}",
        lab.log("one")
    );
    assert_eq!(stopped.teardown.leftovers, [] as [String; 0]);
    let program = std::fs::metadata(services::workload()).unwrap().len();
    assert_eq!(
        totals(stopped.sizes.iter().flat_map(|(_, sizes)| sizes))[&Part::Program],
        program,
        "one file for both"
    );
    assert!(!alive(started[0].pid) && !alive(monitors[0].pid));
    assert!(lab.log("one").contains("listening on"), "{:?}", lab.log("one"));
    lab.assert_clean();
}

#[tokio::test]
#[ignore = "needs LXC and root"]
async fn exits_are_classified() {
    let lab = Lab::new();
    let wrong = lab.deployment(&[lab.tcp("wrong", &["--reply-bytes", "nonsense"]), lab.tcp("right", &[])]);
    match lab.driver.start(&wrong).await {
        Ok(mut running) => {
            assert_eq!(running.ended().await, (name("wrong"), Exit::Code(2)));
            running.stop().await;
        }
        // It ended before its program was seen to run.
        Err(error) => assert!(error.to_string().contains("nonsense"), "{error}"),
    }
    lab.assert_clean();

    let deployment = lab.deployment(&[lab.tcp("one", &[])]);
    let mut running = lab.driver.start(&deployment).await.unwrap();
    lab::kill(running.services()[0].pid);
    assert_eq!(running.ended().await, (name("one"), Exit::Signal(9)));
    assert_eq!(running.pids(&name("one")), [] as [u32; 0]);
    assert_eq!(running.stop().await.teardown.leftovers, [] as [String; 0]);
    lab.assert_clean();

    let mut glutton = lab.deployment(&[lab.tcp("glutton", &["--reply-bytes", "67108864"])]);
    glutton.resources.memory_mib = Some(16);
    match lab.driver.start(&glutton).await {
        Ok(mut running) => {
            assert_eq!(running.ended().await.1, Exit::OutOfMemory, "{}", lab.log("glutton"));
            running.stop().await;
        }
        Err(error) => assert!(error.to_string().contains("exited immediately"), "{error}"),
    }
    lab.assert_clean();
}

#[tokio::test]
#[ignore = "needs LXC and root"]
async fn what_is_dropped_killed_or_left_by_a_crashed_runner_is_removed() {
    let lab = Lab::new();
    let services = [lab.tcp("one", &[]), lab.tcp("two", &[])];
    let running = lab.driver.start(&lab.deployment(&services)).await.unwrap();
    let pids: Vec<u32> = running.services().iter().map(|started| started.pid).collect();
    drop(running);
    lab::eventually("the end of every process", || {
        pids.iter().all(|&pid| !alive(pid)) && lab.leftovers().is_empty()
    })
    .await;

    // As after `kill -9`: the deployment is never dropped, and the restarted runner sweeps.
    std::mem::forget(lab.driver.start(&lab.deployment(&services)).await.unwrap());
    assert_ne!(lab.leftovers(), Vec::<String>::new());
    let restarted = lab.restarted();
    let found = restarted.sweep().await.unwrap();
    assert!(found.iter().all(|line| !line.contains("could not")), "{found:?}");
    lab.assert_clean();
    assert_eq!(restarted.sweep().await.unwrap(), [] as [String; 0]);

    // The kernel kills a container whose monitor dies.
    let mut running = lab.driver.start(&lab.deployment(&services)).await.unwrap();
    lab::kill(running.platform_processes()[0].pid);
    assert_eq!(running.ended().await, (name("one"), Exit::Unknown));
    assert_eq!(running.stop().await.teardown.leftovers, [] as [String; 0]);
    lab.assert_clean();
}

#[tokio::test]
#[ignore = "needs LXC and root"]
async fn a_service_that_ignores_sigterm_is_killed() {
    let lab = Lab::new();
    let mut deployment = lab.deployment(&[lab.tcp("one", &[])]);
    deployment.grace = Duration::from_millis(200);
    let running = lab.driver.start(&deployment).await.unwrap();
    lab::freeze(running.services()[0].pid);
    let stopped = running.stop().await;
    assert_eq!(stopped.exits, [(name("one"), Exit::Killed)]);
    assert_eq!(stopped.teardown.leftovers, [] as [String; 0]);
    lab.assert_clean();
}
