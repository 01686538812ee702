//! KVM is verified by a guest that boots, or rejected.

use deploy::Driver;
use protocol::spec::Acceleration;

use crate::kernel::Kernel;
use crate::lab::{Lab, tcp, user};

#[tokio::test]
#[ignore = "needs QEMU"]
async fn a_guest_that_does_not_boot_verifies_nothing() {
    let mut lab = Lab::new(user());
    lab.tiny(&Kernel::default().say("almost\nPANIC\n").halt(), "stop = 'quit'");
    lab.acceleration = Acceleration::Kvm;
    let error = lab
        .driver("tiny")
        .prepare(&lab.deployment("tiny", &[tcp("one")]))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("a guest that boots with KVM"), "{error}");
    lab.assert_clean().await;
    lab.acceleration = Acceleration::Auto;
    let running = lab.start("tiny", &[tcp("one")]).await;
    assert!(running.emulation().unwrap().kvm_failure.is_some(), "KVM was tried");
    running.stop().await;
    lab.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn auto_uses_kvm_or_reports_emulation() {
    let mut lab = Lab::new(user());
    lab.linux("");
    lab.acceleration = Acceleration::Auto;
    let services = [tcp("one")];
    let mut running = lab.start("linux", &services).await;
    crate::lab::ready(&services, &mut running).await.unwrap();
    let emulated = running.emulation().is_some();
    let pid = running.services()[0].pid;
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    let with_kvm = command.split(|&byte| byte == 0).any(|word| word == b"kvm");
    assert_eq!(emulated, !with_kvm, "QEMU runs as the deployment says");
    running.stop().await;
    lab.assert_clean().await;
}
