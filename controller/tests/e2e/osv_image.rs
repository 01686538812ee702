//! A complete run with guests that boot a complete OSv image, assembled from the `loader.img` that `JUNG_OSV_LOADER_IMG` names.

use crate::guest_lab::{assert_served, both_services, describe, platform};
use crate::lab::{Lab, workload};
use crate::whole_image::assemble;

/// Both networks and workloads once: the firmware of an emulated machine is slow.
#[test]
#[ignore = "needs QEMU"]
fn requests_and_packets_on_both_networks() {
    let lab = Lab::new();
    let image = lab.path("usr.img");
    std::fs::write(&image, assemble(&workload(), "--verbose /nobody/runs/this")).unwrap();
    let append = "--verbose --rootfs=rofs --ip=eth0,{ip},{mask} --defaultgw={gateway} /workload {args}";
    let disk = format!("[[disks]]\npath = {image:?}\nformat = 'raw'\nwritable = true\n");
    describe(
        &lab,
        "whole",
        &format!("preset = 'osv-image'\nappend = '{append}'\n{disk}"),
    );
    let _runner = lab.runner();
    let mut experiment = both_services(
        &lab,
        &(platform("image-bridge", "whole", "bridge") + &platform("image-user", "whole", "user")),
    );
    for (platform, workload) in [("image-bridge", "udp"), ("image-user", "tcp")] {
        experiment.loads += &format!("[[skip]]\nplatform = \"{platform}\"\nworkload = \"{workload}\"\n\n");
    }
    lab.run_patiently(&experiment, 0);
    assert_served(&lab, 2);
}
