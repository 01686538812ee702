//! Complete runs with guests of IncludeOS; `JUNG_INCLUDEOS_IMAGE` names the image.

use crate::agree::{agree, json};
use crate::experiment::NATIVE;
use crate::guest_lab::{assert_served, both_services, describe, platform};
use crate::lab::Lab;

const INCLUDEOS: &str = "[[platform]]\nkind = \"includeos\"\nacceleration = \"tcg\"\n";

/// A lab with the guest `includeos`.
fn lab() -> Lab {
    let image = std::env::var_os("JUNG_INCLUDEOS_IMAGE")
        .expect("JUNG_INCLUDEOS_IMAGE names no image of IncludeOS (deploy/includeos/README.md); without one, --skip includeos::");
    let lab = Lab::new();
    describe(
        &lab,
        "includeos",
        &format!("preset = 'includeos'\nkernel = {image:?}\n"),
    );
    lab
}

#[test]
#[ignore = "needs QEMU"]
fn requests_and_packets_on_both_networks() {
    let lab = lab();
    let _runner = lab.runner();
    let platforms =
        platform("includeos-bridge", "includeos", "bridge") + &platform("includeos-user", "includeos", "user");
    lab.run_patiently(&both_services(&lab, &platforms), 0);
    assert_served(&lab, 4);
}

#[test]
#[ignore = "needs QEMU"]
fn a_process_and_a_guest_of_includeos_in_one_report() {
    let lab = lab();
    let _runner = lab.runner();
    let experiment = lab.experiment().with_platforms(&[NATIVE, INCLUDEOS].concat());
    lab.run(&experiment.with_loads(&[("r50", 50, 2)]).with_blocks(1), 0);

    let run = lab.run_folder();
    let agreed = agree(&run);
    assert_eq!(agreed.counted().count(), 2);
    for attempt in agreed.counted() {
        assert_eq!((attempt.total, attempt.ok), (100, 100), "{}", attempt.folder);
        let record = json(&run.join(&attempt.folder).join("trial.json"));
        let rss = record["resources"][0]["rss_max_bytes"].as_u64().unwrap();
        let guest = attempt.platform == "includeos";
        assert!(rss > if guest { 16 << 20 } else { 0 }, "{record}");
    }
}
