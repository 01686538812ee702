//! Limits of containers.

use deploy::{Driver, ready};
use protocol::spec::{DockerSpec, Resources};
use protocol::summary::Exit;

use crate::LONG;
use crate::lab::Lab;

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_limits_are_set() {
    let lab = Lab::new(DockerSpec::default());
    let mut deployment = lab.deployment(&[lab.tcp("small", &[])]);
    deployment.resources = Resources {
        cpuset: Some("0".parse().unwrap()),
        mems: Some("0".parse().unwrap()),
        memory_mib: Some(64),
    };
    let running = lab.driver.start(&deployment).await.unwrap();
    ready::wait(&deployment, &lab.runner, running.services(), LONG)
        .await
        .unwrap();
    let inspect = lab
        .engine
        .inspect_container(&lab.containers().await[0], None)
        .await
        .unwrap();
    let config = inspect.host_config.unwrap();
    assert_eq!((config.memory, config.memory_swap), (Some(64 << 20), Some(64 << 20)));
    assert_eq!(config.cpuset_cpus.as_deref(), Some("0"));
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.services()[0].pid)).unwrap();
    assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
    assert_eq!(running.stop().await.teardown.leftovers, [] as [String; 0]);
}

#[tokio::test]
#[ignore = "needs Docker"]
async fn an_oom_kill_is_reported() {
    let lab = Lab::new(DockerSpec::default());
    let mut deployment = lab.deployment(&[lab.tcp("large", &["--reply-bytes", "67108864"])]);
    deployment.resources.memory_mib = Some(16);
    match lab.driver.start(&deployment).await {
        Ok(mut running) => {
            assert_eq!(running.ended().await.1, Exit::OutOfMemory);
            assert_eq!(running.stop().await.exits[0].1, Exit::OutOfMemory);
        }
        // It was killed before the start returned.
        Err(error) => assert!(error.to_string().contains("killed for memory"), "{error}"),
    }
    assert_eq!(lab.containers().await, [] as [String; 0]);
}
