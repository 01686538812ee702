//! A whole run with guests of OSv, whose kernel `JUNG_OSV_KERNEL` names.

use crate::agree::agree;
use crate::guest_lab::{both_services, describe, platform, served};
use crate::lab::Lab;
use crate::runtimes::overhead;

/// A lab with the guest `osv`, which builds upon this preset.
fn lab(preset: &str) -> Lab {
    let kernel = std::env::var_os("JUNG_OSV_KERNEL")
        .expect("JUNG_OSV_KERNEL names no OSv kernel (loader-stripped.elf); without one, --skip osv::");
    let lab = Lab::new();
    describe(&lab, "osv", &format!("preset = '{preset}'\nkernel = {kernel:?}\n"));
    lab
}

#[test]
#[ignore = "needs QEMU"]
fn it_serves_requests_and_packets_on_both_networks() {
    let lab = lab("osv");
    let _runner = lab.runner();
    let platforms = platform("osv-bridge", "osv", "bridge") + &platform("osv-user", "osv", "user");
    lab.run_patiently(&both_services(&lab, &platforms), 0);
    served(&lab, 4);
}

/// Its root is a directory of the host; what serves that counts as the platform's.
#[test]
#[ignore = "needs QEMU"]
fn it_serves_out_of_a_root_that_is_shared() {
    let lab = lab("osv-virtiofs");
    let _runner = lab.runner();
    let mut experiment = both_services(&lab, &platform("osv-bridge", "osv", "bridge"));
    experiment.loads += "[[skip]]\nworkload = \"udp\"\n\n";
    lab.run_patiently(&experiment, 0);
    served(&lab, 1);
    overhead(&lab, &agree(&lab.run_folder()), "osv-bridge", &["virtiofsd"]);
}
