//! KVM is proven by a guest that comes up, or refused.

use deploy::{Driver, Running};
use protocol::spec::Acceleration;

use crate::kernel::Kernel;
use crate::lab::{Lab, tcp, user};

#[tokio::test]
#[ignore = "needs QEMU"]
async fn a_guest_that_does_not_come_up_proves_nothing() {
    let mut lab = Lab::new(user());
    lab.tiny(&Kernel::default().say("almost\nPANIC\n").halt(), "stop = 'quit'");
    lab.acceleration = Acceleration::Kvm;
    let error = lab
        .driver("tiny")
        .prepare(&lab.deployment("tiny", &[tcp("one")]))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("a guest that comes up with KVM"), "{error}");
    lab.assert_clean().await;
    lab.acceleration = Acceleration::Auto;
    let running = lab.start("tiny", &[tcp("one")]).await;
    let said = running.deviations().join("; ");
    assert!(
        said.contains("emulated (TCG)") && said.contains("KVM was tried"),
        "{said}"
    );
    running.stop().await;
    lab.assert_clean().await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn auto_is_kvm_or_says_so() {
    let mut lab = Lab::new(user());
    lab.linux("");
    lab.acceleration = Acceleration::Auto;
    let services = [tcp("one")];
    let mut running = lab.start("linux", &services).await;
    crate::lab::ready(&services, &mut running).await.unwrap();
    let emulated = running
        .deviations()
        .iter()
        .any(|text| text.starts_with("emulated (TCG)"));
    let pid = running.services()[0].pid;
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    let with_kvm = command.split(|&byte| byte == 0).any(|word| word == b"kvm");
    assert_eq!(emulated, !with_kvm, "QEMU is started as the deviations say");
    running.stop().await;
    lab.assert_clean().await;
}
