//! Guests under Cloud Hypervisor; `JUNG_CLOUD_HYPERVISOR` names its program.

use deploy::guest::GuestEnd;

use crate::lab::Lab;
use crate::with_kvm;

fn lab(more: &str) -> Lab {
    let program = std::env::var("JUNG_CLOUD_HYPERVISOR").expect(
        "JUNG_CLOUD_HYPERVISOR is not set to the program (docs/platforms.md); without one, --skip cloud_hypervisor::",
    );
    with_kvm::lab(&format!("vmm = {program:?}\n{more}"))
}

#[tokio::test]
#[ignore = "needs cloud-hypervisor, root and KVM"]
async fn it_serves() {
    with_kvm::serves(&lab("")).await;
}

#[tokio::test]
#[ignore = "needs cloud-hypervisor, root and KVM"]
async fn it_dies() {
    with_kvm::dies(&lab("")).await;
}

#[tokio::test]
#[ignore = "needs cloud-hypervisor, root and KVM"]
async fn it_panics() {
    with_kvm::panics(&lab("panic = '^up$'")).await;
}

#[tokio::test]
#[ignore = "needs cloud-hypervisor, root and KVM"]
async fn it_refuses() {
    with_kvm::refuses(lab("")).await;
}

#[tokio::test]
#[ignore = "needs cloud-hypervisor, root and KVM"]
async fn it_resets_itself() {
    with_kvm::resets(&lab(""), GuestEnd::Reset).await;
}
