//! Complete runs with Linux guests: a kernel with an initramfs, and a Debian disk.

use crate::agree::{agree, json};
use crate::guest_lab::{assert_served, both_services, debian, linux, platform};
use crate::lab::{Lab, workload};
use crate::runtimes::assert_overhead;

#[test]
#[ignore = "needs QEMU"]
fn a_kernel_with_an_initramfs_on_both_networks() {
    let lab = Lab::new();
    linux(&lab, "linux", "");
    let _runner = lab.runner();
    let platforms = platform("vm-bridge", "linux", "bridge") + &platform("vm-user", "linux", "user");
    lab.run_patiently(&both_services(&lab, &platforms), 0);
    assert_served(&lab, 4);
}

/// The program is served by virtiofsd, which counts as the platform's.
#[test]
#[ignore = "needs QEMU"]
fn a_guest_runs_a_program_from_a_shared_directory() {
    let lab = Lab::new();
    let tools = lab.path("tools");
    std::fs::create_dir(&tools).unwrap();
    std::fs::copy(workload(), tools.join("program")).unwrap();
    let keys = "load = ['virtio_pci', 'virtio_net', 'button', 'evdev', 'virtiofs']\n\
         append = 'console=ttyS0 panic=-1 tsc=reliable no_timer_check quiet jung.ip={ip} jung.mask={mask} jung.gateway={gateway} \
         jung.mount=tools:/tools jung.workload=/tools/program -- {args}'\n";
    linux(
        &lab,
        "linux",
        &format!("{keys}[[shares]]\npath = {tools:?}\ntag = 'tools'"),
    );
    let _runner = lab.runner();
    let mut experiment = both_services(&lab, &platform("vm-bridge", "linux", "bridge"));
    experiment.loads += "[[skip]]\nworkload = \"udp\"\n\n";
    lab.run_patiently(&experiment, 0);
    assert_served(&lab, 1);
    assert_overhead(&lab, &agree(&lab.run_folder()), "vm-bridge", &["virtiofsd"]);
}

/// Booting is slow: `deploy/tests/guests/cloud.rs` has the other combinations of network and start method.
#[test]
#[ignore = "needs QEMU"]
fn a_disk_with_a_distribution_on_both_networks() {
    let lab = Lab::new();
    debian(&lab, "debian", "");
    debian(&lab, "logged-in", "start = 'ssh'");
    let _runner = lab.runner();
    let platforms = platform("vm-user", "debian", "user") + &platform("ssh-bridge", "logged-in", "bridge");
    let mut experiment = both_services(&lab, &platforms);
    for (platform, without) in [("vm-user", "tcp"), ("ssh-bridge", "udp")] {
        experiment.loads += &format!("[[skip]]\nplatform = \"{platform}\"\nworkload = \"{without}\"\n\n");
    }
    lab.run_patiently(&experiment, 0);
    assert_served(&lab, 2);
    let run = lab.run_folder();
    for attempt in agree(&run).counted() {
        let deviations = &json(&run.join(&attempt.folder).join("trial.json"))["ready"]["deviations"];
        let logged_in = deviations.to_string().contains("started over SSH");
        assert_eq!(logged_in, attempt.platform.starts_with("ssh"), "{deviations}");
    }
}
