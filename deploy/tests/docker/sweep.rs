//! A sweep removes what a killed runner left, and no other runner's containers.

use deploy::Driver;
use protocol::spec::DockerSpec;

use crate::lab::{Lab, name};

#[tokio::test]
#[ignore = "needs Docker"]
async fn only_the_containers_of_the_killed_runner_are_swept() {
    let killed = Lab::new(DockerSpec::default());
    let other = Lab::of_runner(DockerSpec::default(), name(&format!("{}-b", killed.runner)));
    let left = killed
        .driver
        .start(&killed.deployment(&[killed.tcp("one", &[]), killed.tcp("two", &[])]))
        .await
        .unwrap();
    let alive = other
        .driver
        .start(&other.deployment(&[other.tcp("one", &[])]))
        .await
        .unwrap();
    // Like SIGKILL: no destructor runs.
    std::mem::forget(left);

    let restarted = Lab::of_runner(DockerSpec::default(), killed.runner.clone());
    let found = restarted.driver.sweep().await.unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found.iter().all(|line| line.starts_with("removed container jung-")),
        "{found:?}"
    );
    assert_eq!(restarted.containers().await, [] as [String; 0]);
    assert_eq!(other.containers().await.len(), 1);
    assert_eq!(restarted.driver.sweep().await.unwrap(), [] as [String; 0]);
    assert_eq!(alive.stop().await.teardown.leftovers, [] as [String; 0]);
}
