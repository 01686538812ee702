//! How containers end, and that nothing of them is left.

use std::time::Duration;

use deploy::{Driver, ready};
use protocol::spec::DockerSpec;
use protocol::summary::Exit;

use crate::LONG;
use crate::lab::{Lab, name};

#[tokio::test]
#[ignore = "needs Docker and root"]
async fn a_killed_service_is_reported() {
    let lab = Lab::new(DockerSpec::default());
    let deployment = lab.deployment(&[lab.tcp("victim", &[]), lab.tcp("other", &[])]);
    let mut running = lab.driver.start(&deployment).await.unwrap();
    ready::wait(&deployment, &lab.runner, running.services(), LONG)
        .await
        .unwrap();
    let pid = i32::try_from(running.services()[0].pid).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_eq!(running.ended().await, (name("victim"), Exit::Signal(9)));
    assert_eq!(running.pids(&name("victim")), [] as [u32; 0]);
    let stopped = running.stop().await;
    assert_eq!(
        stopped.exits,
        [(name("victim"), Exit::Signal(9)), (name("other"), Exit::Code(0))]
    );
    assert_eq!(stopped.teardown.leftovers, [] as [String; 0]);
    assert_eq!(lab.containers().await, [] as [String; 0]);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_service_that_fails_to_start_leaves_only_its_log() {
    let lab = Lab::new(DockerSpec::default());
    let good = lab.tcp("good", &[]);
    let bad = lab.tcp("bad", &["--no-such-option"]);
    let end = match lab.driver.start(&lab.deployment(&[good, bad])).await {
        // It lived long enough to be started.
        Ok(mut running) => {
            let end = format!("{:?}", running.ended().await);
            running.stop().await;
            end
        }
        Err(error) => error.to_string(),
    };
    assert!(
        end.contains("bad") && (end.contains("Code(2)") || end.contains("exit code 2")),
        "{end}"
    );
    assert!(lab.log("bad").contains("--no-such-option"), "{}", lab.log("bad"));
    assert_eq!(lab.containers().await, [] as [String; 0]);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn dropping_removes_the_containers() {
    let lab = Lab::new(DockerSpec::default());
    let running = lab
        .driver
        .start(&lab.deployment(&[lab.tcp("one", &[]), lab.tcp("two", &[])]))
        .await
        .unwrap();
    assert_eq!(lab.containers().await.len(), 2);
    drop(running);
    lab.wait_for_containers(0).await;
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn a_cancelled_start_leaves_nothing() {
    let lab = Lab::new(DockerSpec::default());
    let services = [lab.tcp("one", &[]), lab.tcp("two", &[]), lab.tcp("three", &[])];
    let deployment = lab.deployment(&services);
    lab.driver.prepare(&deployment).await.unwrap();
    // At different moments of the start, each with other unfinished requests.
    for after_ms in [1, 20, 100, 300, 600] {
        let start = lab.driver.start(&deployment);
        if tokio::time::timeout(Duration::from_millis(after_ms), start)
            .await
            .is_err()
        {
            // The engine may still execute a request, whose result must then be removed.
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        lab.wait_for_containers(0).await;
    }
}
