//! A whole run with a process beside a guest of IncludeOS, `JUNG_INCLUDEOS_IMAGE`. The guest is emulated, so that any machine will do.

use crate::agree::{agree, json};
use crate::experiment::NATIVE;
use crate::lab::Lab;

const INCLUDEOS: &str = "[[platform]]\nkind = \"includeos\"\nacceleration = \"tcg\"\n";

#[test]
#[ignore = "needs QEMU"]
fn a_process_and_a_guest_of_includeos_in_one_report() {
    let image = std::env::var_os("JUNG_INCLUDEOS_IMAGE")
        .expect("JUNG_INCLUDEOS_IMAGE names no image of IncludeOS (deploy/includeos/README.md); without one, --skip includeos::");
    let lab = Lab::new();
    let guests = lab.path("state/guests");
    std::fs::create_dir_all(&guests).unwrap();
    let description = format!("preset = 'includeos'\nkernel = {image:?}\n");
    std::fs::write(guests.join("includeos.toml"), description).unwrap();
    let _runner = lab.runner();

    let experiment = lab.experiment().with_platforms(&[NATIVE, INCLUDEOS].concat());
    lab.run(&experiment.with_loads(&[("r50", 50, 2)]), 0);

    let run = lab.run_folder();
    let agreed = agree(&run);
    assert_eq!(agreed.counted().count(), 4);
    for attempt in agreed.counted() {
        assert_eq!((attempt.total, attempt.ok), (100, 100), "{}", attempt.folder);
        let record = json(&run.join(&attempt.folder).join("trial.json"));
        let rss = record["resources"][0]["rss_max_bytes"].as_u64().unwrap();
        let guest = attempt.platform == "includeos";
        assert!(rss > if guest { 16 << 20 } else { 0 }, "{record}");
    }
}
