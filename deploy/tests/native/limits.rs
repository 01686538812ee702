//! Limits are enforced, or reported as deviations.

use deploy::Driver;
use protocol::spec::Resources;
use protocol::summary::Exit;

use crate::lab::{Lab, eventually};

#[tokio::test]
async fn cpus_are_restricted_with_and_without_cgroups() {
    for lab in [Lab::new(), Lab::without_cgroups()] {
        let script = "grep Cpus_allowed_list /proc/self/status; exec sleep 600";
        let mut deployment = lab.deployment(&[lab.shell("where", script)]);
        deployment.resources.cpuset = Some("0".parse().unwrap());
        let running = lab.driver().start(&deployment).await.unwrap();
        eventually("the list", || lab.log("where").ends_with('\n')).await;
        assert_eq!(lab.log("where").trim(), "Cpus_allowed_list:\t0");
        running.stop().await;
    }
}

#[tokio::test]
async fn an_unenforced_limit_is_a_deviation() {
    let lab = Lab::without_cgroups();
    let mut deployment = lab.deployment(&[lab.shell("free", "exec sleep 600")]);
    deployment.resources.memory_mib = Some(64);
    let running = lab.driver().start(&deployment).await.unwrap();
    assert_eq!(
        running.deviations(),
        ["no memory limit of 64 MiB: this host has no cgroups"]
    );
    running.stop().await;
}

#[tokio::test]
async fn a_missing_cpu_is_refused() {
    let lab = Lab::new();
    let mut deployment = lab.deployment(&[lab.shell("none", "exec sleep 600")]);
    deployment.resources.cpuset = Some("4000".parse().unwrap());
    let error = lab.driver().start(&deployment).await.unwrap_err().to_string();
    assert!(error.contains("CPU 4000"), "{error}");
}

#[tokio::test]
#[ignore = "needs root and cgroups"]
async fn exceeding_the_memory_limit_is_reported() {
    let lab = Lab::new();
    let script = r#"exec perl -e 'my @a; push @a, "x" x 1048576 while 1'"#;
    let mut deployment = lab.deployment(&[lab.shell("glutton", script)]);
    deployment.resources = Resources {
        cpuset: Some("0".parse().unwrap()),
        mems: Some("0".parse().unwrap()),
        memory_mib: Some(32),
    };
    let mut running = lab.driver().start(&deployment).await.unwrap();
    assert_eq!(running.deviations(), [] as [String; 0]);
    assert_eq!(running.ended().await.1, Exit::OutOfMemory);
    let stopped = running.stop().await;
    assert_eq!(stopped.exits[0].1, Exit::OutOfMemory);
    assert_eq!(stopped.teardown.leftovers, [] as [String; 0]);
}
