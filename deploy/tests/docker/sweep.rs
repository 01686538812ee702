//! What a runner left that died with SIGKILL is swept, and no other runner's containers.

use deploy::Driver;
use protocol::spec::DockerSpec;

use crate::lab::{Lab, name};

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_containers_of_a_dead_self_are_swept_and_no_others() {
    let dead = Lab::new(DockerSpec::default());
    let other = Lab::of_runner(DockerSpec::default(), name(&format!("{}-b", dead.runner)));
    let left = dead
        .driver
        .start(&dead.deployment(&[dead.tcp("one", &[]), dead.tcp("two", &[])]))
        .await
        .unwrap();
    let alive = other
        .driver
        .start(&other.deployment(&[other.tcp("one", &[])]))
        .await
        .unwrap();
    // As SIGKILL would: no destructor runs.
    std::mem::forget(left);

    let reborn = Lab::of_runner(DockerSpec::default(), dead.runner.clone());
    let found = reborn.driver.sweep().await.unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found.iter().all(|line| line.starts_with("removed container jung-")),
        "{found:?}"
    );
    assert_eq!(reborn.containers().await, [] as [String; 0]);
    assert_eq!(other.containers().await.len(), 1);
    assert_eq!(reborn.driver.sweep().await.unwrap(), [] as [String; 0]);
    assert_eq!(alive.stop().await.teardown.leftovers, [] as [String; 0]);
}
