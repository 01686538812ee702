//! An IncludeOS guest: the services of `deploy/includeos/service` in an image of the user's, `JUNG_INCLUDEOS_IMAGE`.

use deploy::guest::GuestEnd;
use protocol::spec::GuestNetwork;
use protocol::summary::Exit;

use crate::lab::{Lab, bridge, ready, serves, udp, user, with_args};

/// A lab with the guest `includeos`.
fn lab(network: GuestNetwork) -> Lab {
    let image = std::env::var_os("JUNG_INCLUDEOS_IMAGE")
        .expect("JUNG_INCLUDEOS_IMAGE is not set to an image of IncludeOS (deploy/includeos/README.md); without one, --skip includeos::");
    let lab = Lab::new(network);
    lab.describe("includeos", &format!("preset = 'includeos'\nkernel = {image:?}\n"));
    lab
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn it_serves_over_a_bridge() {
    serves(&lab(bridge()), "includeos", "Service started").await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn it_serves_through_a_forwarded_port() {
    serves(&lab(user()), "includeos", "Service started").await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn two_guests_answer_packets_with_their_number() {
    let lab = lab(bridge());
    let services = [udp("one"), udp("two")];
    let mut running = lab.start("includeos", &services).await;
    let replies = ready(&services, &mut running).await.unwrap();
    assert_eq!(replies.len(), 2);
    let stopped = running.stop().await;
    assert_eq!(stopped.teardown.leftovers, Vec::<String>::new());
    lab.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn a_panic_of_its_own_is_recognised() {
    let lab = lab(bridge());
    let services = [with_args("one", &["tcp", "--reply-bytes", "many"])];
    let mut running = lab.start("includeos", &services).await;
    let (service, exit) = running.ended().await;
    assert_eq!(exit, Exit::Crashed, "{}", lab.log("one"));
    let end = running.guest_end(&service).unwrap().clone();
    assert!(
        matches!(&end, GuestEnd::Panicked(line) if line.contains("PANIC")),
        "{end:?}"
    );
    assert!(
        lab.log("one").contains("--reply-bytes is no number"),
        "{}",
        lab.log("one")
    );
    assert_eq!(running.stop().await.teardown.leftovers, Vec::<String>::new());
    lab.assert_clean().await;
}
