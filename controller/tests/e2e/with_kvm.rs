//! Complete runs with guests under KVM, for each hypervisor. The guest is also executed correctly by KVM's instruction emulator.

use testkit::free_port;

use crate::agree::{agree, json};
use crate::echo;
use crate::guest_lab::{assert_nothing_left, describe};
use crate::lab::Lab;

/// The guest `echo` answers a packet stream completely, is sampled, and is not marked as emulated.
fn serves(how: &str) {
    let lab = Lab::new();
    let kernel = echo::build(&lab.path(""));
    let keys = "append = 'ip={ip} console=ttyS0'\nmemory_mib = 32\nready = '^up$'\nstop = 'quit'";
    describe(&lab, "echo", &format!("kernel = {kernel:?}\n{keys}\n{how}"));
    let _runner = lab.runner();
    let platform = "[[platform]]\nkind = \"guest\"\nguest = \"echo\"\nacceleration = \"kvm\"\n";
    let mut experiment = lab.experiment().with_platforms(platform).with_blocks(1);
    experiment.workload = Some(format!(
        "[[workload]]\nkind = \"udp\"\nport = {}\necho = true\n",
        free_port()
    ));
    experiment.loads =
        "[[load]]\nkind = \"udp\"\nname = \"stream\"\npackets = 4000\nwindow = 4\npace = \"1us\"\ntimeout = \"30s\"\n"
            .into();
    experiment.deadlines += "\nready = \"5m\"";
    lab.run_patiently(&experiment, 0);

    let run = lab.run_folder();
    let agreed = agree(&run);
    assert_eq!(agreed.counted().count(), 1);
    for attempt in agreed.counted() {
        let record = json(&run.join(&attempt.folder).join("trial.json"));
        let stream = &record["udp"]["stream"];
        assert_eq!(
            (&stream["received"], &stream["lost"]),
            (&4000.into(), &0.into()),
            "{stream}"
        );
        let used = &record["resources"][0];
        assert!(used["rss_max_bytes"].as_u64().unwrap() > 1 << 20, "{used}");
        assert!(used["cpu_total_percent"].as_f64().unwrap() > 0.0, "{used}");
        let start = &record["ready"]["startup"][0];
        assert!(start["first_output_ns"].as_u64().is_some(), "{start}");
    }
    let report = std::fs::read_to_string(run.join("report.md")).unwrap();
    assert!(!report.contains("emulated"), "{report}");
    assert_nothing_left(&lab);
}

#[test]
#[ignore = "needs QEMU, root and KVM"]
fn qemu() {
    serves("machine = 'microvm'\nnic = 'virtio-net-device'\ncpu = 'host,-arch-capabilities'");
}

mod cloud_hypervisor {
    #[test]
    #[ignore = "needs cloud-hypervisor, root and KVM"]
    fn it_serves() {
        let program = std::env::var("JUNG_CLOUD_HYPERVISOR").expect(
            "JUNG_CLOUD_HYPERVISOR names no program (docs/platforms.md); without one, --skip cloud_hypervisor::",
        );
        super::serves(&format!("vmm = {program:?}"));
    }
}

mod firecracker {
    #[test]
    #[ignore = "needs Firecracker, root and KVM"]
    fn it_serves() {
        let program = std::env::var("JUNG_FIRECRACKER")
            .expect("JUNG_FIRECRACKER names no program (docs/platforms.md); without one, --skip firecracker::");
        super::serves(&format!("vmm = {program:?}"));
    }
}
