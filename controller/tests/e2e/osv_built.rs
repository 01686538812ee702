//! Complete runs with images built by OSv's own build; `JUNG_OSV_IMAGES` names their directory (`deploy/osv/README.md`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::agree::{agree, json, rows};
use crate::guest_lab::{assert_served, both_services, describe, platform};
use crate::lab::Lab;

/// The command line of every guest, without its root.
const APPEND: &str = "--verbose --ip=eth0,{ip},{mask} --defaultgw={gateway} /workload {args}";

fn image(file: &str) -> PathBuf {
    let folder = std::env::var_os("JUNG_OSV_IMAGES")
        .expect("JUNG_OSV_IMAGES names no folder of images that OSv's own build made; without one, --skip osv_built::");
    Path::new(&folder).join(file)
}

/// Describes a complete image with a root of this kind; `more` are further keys.
fn whole(lab: &Lab, guest: &str, root: &str, file: &str, more: &str) {
    let disk = format!(
        "[[disks]]\npath = {:?}\nformat = 'qcow2'\nwritable = true\n",
        image(file)
    );
    let append = format!("append = '--rootfs={root} {APPEND}'");
    describe(lab, guest, &format!("preset = 'osv-image'\n{append}\n{more}\n{disk}"));
}

/// A read-only root with OSv's REST API, a ZFS root, and a root in the kernel; every network and workload occurs.
#[test]
#[ignore = "needs QEMU"]
fn images_with_every_kind_of_root() {
    let lab = Lab::new();
    whole(&lab, "rofs", "rofs", "usr.img", "rest = 8000");
    whole(&lab, "zfs", "zfs", "zfs.img", "");
    let kernel = image("loader-ramfs.elf");
    let append = format!("append = '--rootfs=ramfs {APPEND}'");
    describe(
        &lab,
        "ramfs",
        &format!("preset = 'osv'\nimage = 'none'\nkernel = {kernel:?}\n{append}\n"),
    );
    let _runner = lab.runner();
    let platforms = [
        ("rofs-bridge", "rofs", "bridge", "udp"),
        ("rofs-user", "rofs", "user", "udp"),
        ("zfs-bridge", "zfs", "bridge", "udp"),
        ("ramfs-bridge", "ramfs", "bridge", "tcp"),
    ];
    let tables: String = platforms
        .map(|(name, guest, network, _)| platform(name, guest, network))
        .concat();
    let mut experiment = both_services(&lab, &tables);
    for (platform, _, _, skipped) in platforms {
        experiment.loads += &format!("[[skip]]\nplatform = \"{platform}\"\nworkload = \"{skipped}\"\n\n");
    }
    lab.run_patiently(&experiment, 0);
    assert_served(&lab, 4);
    assert_guest_counters(&lab);
}

/// Exactly the guests with the API have its figures in the raw samples, the resource breakdown and the report.
fn assert_guest_counters(lab: &Lab) {
    let run = lab.run_folder();
    for attempt in agree(&run).counted() {
        let told = attempt.platform.starts_with("rofs-");
        let folder = run.join(&attempt.folder);
        let samples = rows(&folder.join("samples.csv"));
        let of = |kind: &str| samples.iter().filter(|row| row["of"] == kind).collect::<Vec<_>>();
        let ledger = &json(&folder.join("trial.json"))["ledger"];
        let memory = &ledger["memory"]["services"][0];
        assert_eq!(ledger["cpu"]["guests_say_percent"].is_f64(), told, "{ledger}");
        assert_eq!(!of("guest").is_empty(), told, "{}", attempt.folder);
        assert_eq!(memory["guest_used_bytes"].is_f64(), told, "{memory}");
        if !told {
            continue;
        }
        let number = |row: &BTreeMap<String, String>, column: &str| row[column].parse::<u64>().unwrap();
        let [first, .., last] = of("guest")[..] else {
            panic!("{}: not asked at READY and at STOP", attempt.folder)
        };
        assert!(number(last, "cpu_ns") > number(first, "cpu_ns"), "{first:?}, {last:?}");
        let used = number(last, "memory_bytes") - number(last, "free_bytes");
        assert!((4 << 20..128 << 20).contains(&used), "{used}");
        let workload = of("guest-thread").into_iter().find(|row| row["name"] == "/workload");
        assert!(number(workload.unwrap(), "cpu_ns") > 0, "{workload:?}");
    }
    let report = std::fs::read_to_string(run.join("report.md")).unwrap();
    for row in [
        "as reported by the guests, READY to STOP",
        "in use, as reported by the guest",
    ] {
        let line = report.lines().find(|line| line.contains(row));
        assert!(
            line.is_some_and(|line| line.contains(|c: char| c.is_ascii_digit())),
            "{line:?}"
        );
    }
}
