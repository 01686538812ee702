//! A whole run with guests that boot a whole image of OSv, put together around the `loader.img` that `JUNG_OSV_LOADER_IMG` names.

use crate::guest_lab::{both_services, describe, platform, served};
use crate::lab::{Lab, workload};
use crate::whole_image::assemble;

/// Both networks and both services, each once: the firmware of an emulated machine takes its time.
#[test]
#[ignore = "needs QEMU"]
fn guests_of_one_image_serve_requests_and_packets_on_both_networks() {
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
    served(&lab, 2);
}
