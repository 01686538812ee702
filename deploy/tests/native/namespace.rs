//! The services of a runner in a network namespace are in it too, at the runner's address only.

use std::process::Command;
use std::time::Duration;

use deploy::Driver;
use nix::sched::{CloneFlags, unshare};

use crate::lab::Lab;

fn ip(args: &[&str]) {
    assert!(Command::new("ip").args(args).status().unwrap().success(), "ip {args:?}");
}

/// Everything runs on the test's thread (the runtime is a current-thread one), and only that thread changes its namespace.
#[tokio::test]
#[ignore = "needs root and iproute2"]
async fn services_are_in_the_namespace_of_their_runner() {
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    ip(&["link", "set", "lo", "up"]);
    ip(&["address", "add", "10.77.0.1/32", "dev", "lo"]);
    let mut lab = Lab::new();
    lab.host.address = "10.77.0.1".parse().unwrap();
    let deployment = lab.deployment(&[lab.http("web")]);
    let running = lab.native().start(&deployment).await.unwrap();
    let endpoint = running.services()[0].endpoint.unwrap();
    assert_eq!(endpoint.ip(), lab.host.address);
    lab.ready(&deployment, &running).await;

    let loopback = std::net::TcpStream::connect(("127.0.0.1", endpoint.port()));
    assert!(loopback.is_err(), "it listens on all addresses");
    let outside = std::thread::spawn(move || {
        // The main thread is still in the original namespace.
        let namespace = std::fs::File::open(format!("/proc/{}/ns/net", std::process::id())).unwrap();
        nix::sched::setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
        std::net::TcpStream::connect_timeout(&endpoint, Duration::from_millis(500)).is_err()
    });
    assert!(outside.join().unwrap(), "it is reachable from outside of its namespace");
    assert_eq!(running.stop().await.teardown.leftovers, [] as [String; 0]);
}
