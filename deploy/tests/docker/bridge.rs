//! Containers on the runner's own bridge, beside the taps of guests.

use std::time::{Duration, Instant};

use deploy::network::bridge::Bridge;
use deploy::{Driver, ready};
use protocol::spec::{ContainerNetwork, DockerSpec};
use protocol::summary::Exit;

use crate::LONG;
use crate::lab::{Lab, name};

fn spec() -> DockerSpec {
    DockerSpec {
        network: ContainerNetwork::Bridge,
        ..DockerSpec::default()
    }
}

/// The engine's networks of this runner.
async fn networks(lab: &Lab) -> Vec<String> {
    let all = lab.engine.list_networks(None).await.unwrap();
    let own = |network: &bollard::models::Network| {
        let labels = network.labels.clone().unwrap_or_default();
        labels.get("jung.runner").map(String::as_str) == Some(lab.runner.as_str())
    };
    all.into_iter().filter(own).filter_map(|network| network.name).collect()
}

#[tokio::test]
#[ignore = "needs Docker and root"]
async fn they_and_guests_are_on_one_path_and_nothing_is_left() {
    let lab = Lab::new(spec());
    let bridge = Bridge::of(&lab.runner);
    let deployment = lab.deployment(&[lab.tcp("one", &[]), lab.tcp("two", &[])]);
    for _ in 0..2 {
        lab.driver.prepare(&deployment).await.unwrap();
        let running = lab.driver.start(&deployment).await.unwrap();
        let started = running.services().to_vec();
        ready::wait(&deployment.services, &started, LONG).await.unwrap();
        let tap = bridge.tap().unwrap();
        let of_tap = tap.guest().octets();
        for started in &started {
            let std::net::IpAddr::V4(address) = started.endpoint.unwrap().ip() else {
                panic!("{started:?}")
            };
            assert_eq!(address.octets()[..3], of_tap[..3], "one network");
            assert!(address.octets()[3] >= 128, "{address}: no guest gets it");
        }
        assert_eq!(networks(&lab).await, [bridge.name()]);
        assert_eq!(
            tap.remove(),
            Vec::<String>::new(),
            "the bridge stays for the containers"
        );
        ready::wait(&deployment.services, &started, LONG).await.unwrap();
        let stopped = running.stop().await;
        assert!(stopped.exits.iter().all(|(_, exit)| *exit == Exit::Code(0)));
        assert_eq!(stopped.teardown.leftovers, Vec::<String>::new());
        assert_eq!(networks(&lab).await, Vec::<String>::new());
        assert_eq!(bridge.leftovers(), Vec::<String>::new());
    }
}

#[tokio::test]
#[ignore = "needs Docker and root"]
async fn what_a_dead_self_left_is_swept_or_taken_over() {
    let lab = Lab::new(spec());
    let deployment = lab.deployment(&[lab.tcp("one", &[])]);
    std::mem::forget(lab.driver.start(&deployment).await.unwrap());
    let found = lab.driver.sweep().await.unwrap();
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[1].starts_with("removed network jb"), "{found:?}");
    assert!(found[2].starts_with("removed bridge jb"), "{found:?}");
    for _ in 0..3 {
        // The next start does not meet it half gone.
        drop(lab.driver.start(&deployment).await.unwrap());
    }
    let next = lab.driver.start(&lab.deployment(&[lab.tcp("one", &[])])).await.unwrap();
    assert_eq!(next.stop().await.exits, [(name("one"), Exit::Code(0))]);
    nothing_left(&lab).await;
}

/// Whenever a runner is told to stop: what it asked the engine for may come about all the same.
#[tokio::test]
#[ignore = "needs Docker and root"]
async fn a_preparation_that_is_given_up_half_way_leaves_nothing() {
    let mut lab = Lab::new(spec());
    let deployment = lab.deployment(&[lab.tcp("one", &[])]);
    lab.driver.prepare(&deployment).await.unwrap();
    lab.another_driver();
    nothing_left(&lab).await;
    // The image is there now, and the network comes last.
    let begun = Instant::now();
    lab.driver.prepare(&deployment).await.unwrap();
    let whole = begun.elapsed();
    for part in 0..20 {
        lab.another_driver();
        nothing_left(&lab).await;
        let patience = whole.mul_f64(0.6 + 0.02 * f64::from(part));
        let _ = tokio::time::timeout(patience, lab.driver.prepare(&deployment)).await;
        lab.another_driver();
        // Nor does it come later.
        tokio::time::sleep(Duration::from_millis(200)).await;
        nothing_left(&lab).await;
    }
}

/// Waits until there is neither network nor bridge; what is dropped goes soon after.
async fn nothing_left(lab: &Lab) {
    let until = Instant::now() + LONG;
    while !networks(lab).await.is_empty() || !Bridge::of(&lab.runner).leftovers().is_empty() {
        assert!(Instant::now() < until, "the bridge stays: {:?}", networks(lab).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
