//! An IncludeOS guest: the services of `deploy/includeos/service` in an image of the user's, `JUNG_INCLUDEOS_IMAGE`.

use deploy::Running;
use deploy::qemu::End;
use protocol::spec::{GuestNetwork, Probe, ServiceSpec, UdpProbe};
use protocol::summary::Exit;

use crate::lab::{Lab, ask, bridge, name, ready, tcp, user, with_args};

/// A lab with the guest `includeos`.
fn lab(network: GuestNetwork) -> Lab {
    let image = std::env::var_os("JUNG_INCLUDEOS_IMAGE")
        .expect("JUNG_INCLUDEOS_IMAGE names no image of IncludeOS (deploy/includeos/README.md); without one, --skip includeos::");
    let lab = Lab::new(network);
    lab.describe("includeos", &format!("preset = 'includeos'\nkernel = {image:?}\n"));
    lab
}

/// A service of packets, and the answer to one of them.
fn udp(service: &str) -> ServiceSpec {
    ServiceSpec {
        ready: Probe::Udp(UdpProbe {
            packet: "number 7".into(),
            answer: format!("{}number 7", "A".repeat(1000)),
        }),
        ..with_args(service, &["udp", "--listen", "{listen}", "--reply-bytes", "1000"])
    }
}

async fn serves(network: GuestNetwork) {
    let lab = lab(network);
    let services = [tcp("one")];
    let mut running = lab.start("includeos", &services).await;
    ready(&services, &mut running).await.unwrap();
    ask(running.services()[0].endpoint.unwrap(), 30).await;
    let stopped = running.stop().await;
    assert_eq!(stopped.exits, [(name("one"), Exit::Code(0))], "{}", lab.log("one"));
    assert_eq!(stopped.teardown.leftovers, Vec::<String>::new());
    assert!(lab.log("one").contains("Service started"), "{}", lab.log("one"));
    lab.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn it_serves_over_a_bridge() {
    serves(bridge()).await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn it_serves_through_a_forwarded_port() {
    serves(user()).await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn it_answers_packets_with_their_number_two_guests_at_once() {
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
    let end = running.end(&service).unwrap().clone();
    assert!(matches!(&end, End::Panicked(line) if line.contains("PANIC")), "{end:?}");
    assert!(
        lab.log("one").contains("--reply-bytes is no number"),
        "{}",
        lab.log("one")
    );
    assert_eq!(running.stop().await.teardown.leftovers, Vec::<String>::new());
    lab.assert_clean().await;
}
