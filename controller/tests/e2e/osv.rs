//! A whole run with guests of OSv, whose kernel `JUNG_OSV_KERNEL` names.

use crate::guest_lab::{both_services, describe, platform, served};
use crate::lab::Lab;

#[test]
#[ignore = "needs QEMU"]
fn it_serves_requests_and_packets_on_both_networks() {
    let kernel = std::env::var_os("JUNG_OSV_KERNEL")
        .expect("JUNG_OSV_KERNEL names no OSv kernel (loader-stripped.elf); without one, --skip osv::");
    let lab = Lab::new();
    describe(&lab, "osv", &format!("preset = 'osv'\nkernel = {kernel:?}\n"));
    let _runner = lab.runner();
    let platforms = platform("osv-bridge", "osv", "bridge") + &platform("osv-user", "osv", "user");
    lab.run_patiently(&both_services(&lab, &platforms), 0);
    served(&lab, 4);
}
