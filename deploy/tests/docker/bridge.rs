//! Containers on the runner's own bridge, with the taps of guests.

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
async fn containers_and_guests_share_the_bridge() {
    let lab = Lab::new(spec());
    let bridge = Bridge::of(&lab.runner);
    let deployment = lab.deployment(&[lab.tcp("one", &[]), lab.tcp("two", &[])]);
    for _ in 0..2 {
        lab.driver.prepare(&deployment).await.unwrap();
        let running = lab.driver.start(&deployment).await.unwrap();
        let started = running.services().to_vec();
        ready::wait(&deployment, &lab.runner, &started, LONG).await.unwrap();
        let tap = bridge.tap().unwrap();
        let guest = tap.guest().octets();
        for started in &started {
            let std::net::IpAddr::V4(address) = started.endpoint.unwrap().ip() else {
                panic!("{started:?}")
            };
            assert_eq!(address.octets()[..3], guest[..3], "one subnet");
            assert!(address.octets()[3] >= 128, "{address} is not for guests");
        }
        assert_eq!(networks(&lab).await, [bridge.name()]);
        assert_eq!(
            tap.remove(),
            Vec::<String>::new(),
            "the containers still use the bridge"
        );
        ready::wait(&deployment, &lab.runner, &started, LONG).await.unwrap();
        let stopped = running.stop().await;
        assert!(stopped.exits.iter().all(|(_, exit)| *exit == Exit::Code(0)));
        assert_eq!(stopped.teardown.leftovers, Vec::<String>::new());
        assert_eq!(networks(&lab).await, Vec::<String>::new());
        assert_eq!(bridge.leftovers(), Vec::<String>::new());
    }
}

#[tokio::test]
#[ignore = "needs Docker and root"]
async fn leftovers_of_a_crashed_runner_are_swept_or_replaced() {
    let lab = Lab::new(spec());
    let deployment = lab.deployment(&[lab.tcp("one", &[])]);
    std::mem::forget(lab.driver.start(&deployment).await.unwrap());
    let found = lab.driver.sweep().await.unwrap();
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[1].starts_with("removed network jb"), "{found:?}");
    assert!(found[2].starts_with("removed bridge jb"), "{found:?}");
    for _ in 0..3 {
        // The next start waits for the removal.
        drop(lab.driver.start(&deployment).await.unwrap());
    }
    let next = lab.driver.start(&lab.deployment(&[lab.tcp("one", &[])])).await.unwrap();
    assert_eq!(next.stop().await.exits, [(name("one"), Exit::Code(0))]);
    nothing_left(&lab).await;
}

/// The engine may execute a request after the runner was stopped.
#[tokio::test]
#[ignore = "needs Docker and root"]
async fn a_cancelled_preparation_leaves_nothing() {
    let mut lab = Lab::new(spec());
    let deployment = lab.deployment(&[lab.tcp("one", &[])]);
    lab.driver.prepare(&deployment).await.unwrap();
    lab.replace_driver();
    nothing_left(&lab).await;
    // The image exists now, and the network is created last.
    let called = Instant::now();
    lab.driver.prepare(&deployment).await.unwrap();
    let whole = called.elapsed();
    for part in 0..10 {
        lab.replace_driver();
        nothing_left(&lab).await;
        let limit = whole.mul_f64(0.6 + 0.04 * f64::from(part));
        let _ = tokio::time::timeout(limit, lab.driver.prepare(&deployment)).await;
        lab.replace_driver();
        // Nothing appears later either.
        tokio::time::sleep(Duration::from_millis(200)).await;
        nothing_left(&lab).await;
    }
}

/// Waits until neither the network nor the bridge exists: both are removed in the background.
async fn nothing_left(lab: &Lab) {
    let until = Instant::now() + LONG;
    while !networks(lab).await.is_empty() || !Bridge::of(&lab.runner).leftovers().is_empty() {
        assert!(Instant::now() < until, "not removed: {:?}", networks(lab).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
