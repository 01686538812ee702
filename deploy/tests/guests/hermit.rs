//! A Hermit guest, described as any user could describe one. `JUNG_HERMIT_LOADER` and `JUNG_HERMIT_IMAGE` name the loader and the service
//! (`deploy/hermit`).

use protocol::summary::Exit;

use crate::lab::{Lab, ask, bridge, name, ready, tcp, user, with_args};

/// The value of a variable.
fn named(variable: &str) -> std::ffi::OsString {
    std::env::var_os(variable).unwrap_or_else(|| {
        panic!("{variable} is not set to a part of Hermit (deploy/hermit/README.md); without one, --skip hermit::")
    })
}

/// A lab with the guest `hermit`, described as in `deploy/hermit`.
fn lab(network: protocol::spec::GuestNetwork) -> Lab {
    let (loader, image) = (named("JUNG_HERMIT_LOADER"), named("JUNG_HERMIT_IMAGE"));
    let text = include_str!("../../hermit/guest.toml")
        .replace("\"/srv/hermit/hermit-loader-x86_64\"", &format!("{loader:?}"))
        .replace("\"/srv/hermit/hermit-service\"", &format!("{image:?}"));
    let lab = Lab::new(network);
    lab.describe("hermit", &text);
    lab
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn two_guests_serve_over_a_bridge_repeatedly() {
    let lab = lab(bridge());
    let services = [tcp("one"), tcp("two")];
    for _ in 0..2 {
        let mut running = lab.start("hermit", &services).await;
        ready(&services, &mut running).await.unwrap();
        for service in running.services() {
            ask(service.endpoint.unwrap(), 30).await;
        }
        let stopped = running.stop().await;
        let both = ["one", "two"].map(|service| (name(service), Exit::Code(0)));
        assert_eq!(stopped.exits, both, "{}", lab.log("one"));
        assert_eq!(stopped.teardown.leftovers, Vec::<String>::new());
        lab.assert_clean().await;
    }
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn the_exit_code_of_a_service_is_reported() {
    let lab = lab(user());
    let services = [with_args(
        "one",
        &["tcp", "--listen", "{listen}", "--reply-bytes", "many"],
    )];
    let mut running = lab.start("hermit", &services).await;
    let (service, exit) = running.ended().await;
    assert_eq!((service, exit), (name("one"), Exit::Code(1)), "{}", lab.log("one"));
    assert!(lab.log("one").contains("no number of letters"), "{}", lab.log("one"));
    assert_eq!(running.stop().await.teardown.leftovers, Vec::<String>::new());
    lab.assert_clean().await;
}
