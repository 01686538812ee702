//! A complete run with guests of OSv; `JUNG_OSV_KERNEL` names the kernel.

use crate::agree::agree;
use crate::guest_lab::{assert_served, both_services, describe, platform};
use crate::lab::Lab;
use crate::runtimes::assert_overhead;

/// A lab with the guest `osv`, based on this preset.
fn lab(preset: &str) -> Lab {
    let kernel = std::env::var_os("JUNG_OSV_KERNEL")
        .expect("JUNG_OSV_KERNEL names no OSv kernel (loader-stripped.elf); without one, --skip osv::");
    let lab = Lab::new();
    describe(&lab, "osv", &format!("preset = '{preset}'\nkernel = {kernel:?}\n"));
    lab
}

#[test]
#[ignore = "needs QEMU"]
fn requests_and_packets_on_both_networks() {
    let lab = lab("osv");
    let _runner = lab.runner();
    let platforms = platform("osv-bridge", "osv", "bridge") + &platform("osv-user", "osv", "user");
    lab.run_patiently(&both_services(&lab, &platforms), 0);
    assert_served(&lab, 4);
}

/// Its root is a directory of the host; virtiofsd counts as the platform's.
#[test]
#[ignore = "needs QEMU"]
fn a_shared_root() {
    let lab = lab("osv-virtiofs");
    let _runner = lab.runner();
    let mut experiment = both_services(&lab, &platform("osv-bridge", "osv", "bridge"));
    experiment.loads += "[[skip]]\nworkload = \"udp\"\n\n";
    lab.run_patiently(&experiment, 0);
    assert_served(&lab, 1);
    assert_overhead(&lab, &agree(&lab.run_folder()), "osv-bridge", &["virtiofsd"]);
}
