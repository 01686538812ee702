//! An OSv guest with the disk that the runner writes. The kernel is the user's: `JUNG_OSV_KERNEL`.

use protocol::spec::GuestNetwork;
use protocol::summary::Exit;

use crate::lab::{Lab, bridge, serves, user, with_args};

/// The console line of a guest that is up.
const UP: &str = "Booted up in ";

/// A lab with the guest `osv`.
fn lab(network: GuestNetwork) -> Lab {
    lab_with(network, "osv")
}

/// The same with another preset.
fn lab_with(network: GuestNetwork, preset: &str) -> Lab {
    let kernel = std::env::var_os("JUNG_OSV_KERNEL")
        .expect("JUNG_OSV_KERNEL is not set to an OSv kernel (loader-stripped.elf); without one, --skip osv::");
    let lab = Lab::new(network);
    lab.describe("osv", &format!("preset = '{preset}'\nkernel = {kernel:?}\n"));
    lab
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn it_serves_over_a_bridge() {
    serves(&lab(bridge()), "osv", UP).await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn it_serves_through_a_forwarded_port() {
    serves(&lab(user()), "osv", UP).await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn it_serves_with_a_shared_root() {
    serves(&lab_with(bridge(), "osv-virtiofs"), "osv", UP).await;
}

#[tokio::test]
#[ignore = "needs QEMU"]
async fn the_exit_code_of_a_failed_workload_is_reported() {
    let lab = lab(user());
    let mut running = lab
        .start("osv", &[with_args("one", &["tcp", "--listen", "nonsense"])])
        .await;
    let (_, exit) = running.ended().await;
    assert_eq!(exit, Exit::Code(2), "{}", lab.log("one"));
    running.stop().await;
    lab.assert_clean().await;
}
