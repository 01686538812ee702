//! What is refused before anything is started, with a remedy.

use std::net::TcpListener;

use deploy::{DeployError, Driver};
use protocol::spec::{BridgeSpec, GuestNetwork};

use crate::kernel::Kernel;
use crate::lab::{Lab, bridge, tcp, user, with_args};

async fn refusal(lab: &Lab, guest: &str, service: deploy::Service) -> String {
    let driver = lab.driver(guest);
    let error = driver.start(&lab.deployment(guest, &[service])).await.unwrap_err();
    lab.assert_clean().await;
    error.to_string()
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn a_guest_without_description() {
    let lab = Lab::new(user());
    let error = refusal(&lab, "nobody", tcp("one")).await;
    assert!(error.contains("guests/nobody.toml"), "{error}");
    let unmet = lab.driver("nobody").probe().await.unmet.unwrap();
    assert!(unmet.need.contains("nobody.toml"), "{unmet:?}");
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn a_kernel_with_another_hash() {
    let lab = Lab::new(user());
    lab.tiny(
        &Kernel::default().halt(),
        &format!("kernel_sha256 = '{}'", "0".repeat(64)),
    );
    let error = refusal(&lab, "tiny", tcp("one")).await;
    assert!(error.contains("SHA-256"), "{error}");
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn an_argument_with_special_characters() {
    let lab = Lab::new(bridge());
    lab.tiny(&Kernel::default().halt(), "append = '{args}'");
    for evil in ["a b", "x;y", "\"", "{ip}"] {
        let error = refusal(&lab, "tiny", with_args("one", &["tcp", evil])).await;
        assert!(error.contains("cannot be passed"), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn a_port_in_use() {
    let lab = Lab::new(user());
    lab.tiny(&Kernel::default().halt(), "");
    let mut service = tcp("one");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    service.port = Some(taken.local_addr().unwrap().port());
    let driver = lab.driver("tiny");
    let error = driver.start(&lab.deployment("tiny", &[service])).await.unwrap_err();
    assert!(matches!(error, DeployError::PortTaken { .. }), "{error}");
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn a_kernel_that_qemu_does_not_accept() {
    let lab = Lab::new(bridge());
    lab.tiny(&Kernel::default().halt(), "");
    let text = std::fs::read_to_string(lab.host.state.join("guests/tiny.toml")).unwrap();
    let kernel = lab.host.state.join("no-kernel");
    std::fs::write(&kernel, "no kernel at all").unwrap();
    let first = text.lines().next().unwrap().to_owned();
    lab.describe("tiny", &text.replace(&first, &format!("kernel = {kernel:?}")));
    let error = refusal(&lab, "tiny", tcp("one")).await;
    assert!(
        error.contains("exited immediately") && error.contains("invalid kernel header"),
        "{error}"
    );
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn vhost_on_a_kernel_without_it() {
    let lab = Lab::new(GuestNetwork::Bridge(BridgeSpec { vhost: true }));
    lab.tiny(&Kernel::default().halt(), "");
    let unmet = lab.driver("tiny").probe().await.unmet;
    if std::path::Path::new("/dev/vhost-net").exists() {
        assert_eq!(unmet, None);
    } else {
        assert!(unmet.unwrap().remedy.contains("vhost = false"));
    }
}
