//! A complete run with guests of Hermit, which no preset covers: the test writes the description. `JUNG_HERMIT_LOADER` and `JUNG_HERMIT_IMAGE` name
//! its loader and the service image (`deploy/hermit`).

use std::ffi::OsString;

use crate::guest_lab::{assert_served, both_services, describe, platform};
use crate::lab::Lab;

/// The value of a variable.
fn named(variable: &str) -> OsString {
    std::env::var_os(variable).unwrap_or_else(|| {
        panic!("{variable} names no part of Hermit (deploy/hermit/README.md); without one, --skip hermit::")
    })
}

/// Without packets: Hermit 0.10 occasionally stops after the first ones.
#[test]
#[ignore = "needs QEMU"]
fn a_custom_description_on_both_networks() {
    let (loader, image) = (named("JUNG_HERMIT_LOADER"), named("JUNG_HERMIT_IMAGE"));
    let lab = Lab::new();
    let described = include_str!("../../../deploy/hermit/guest.toml");
    let described = described
        .replace("\"/srv/hermit/hermit-loader-x86_64\"", &format!("{loader:?}"))
        .replace("\"/srv/hermit/hermit-service\"", &format!("{image:?}"));
    describe(&lab, "hermit", &described);
    let _runner = lab.runner();
    let platforms = platform("hermit-bridge", "hermit", "bridge") + &platform("hermit-user", "hermit", "user");
    let mut experiment = both_services(&lab, &platforms);
    for platform in ["hermit-bridge", "hermit-user"] {
        experiment.loads += &format!("[[skip]]\nplatform = \"{platform}\"\nworkload = \"udp\"\n\n");
    }
    lab.run_patiently(&experiment, 0);
    assert_served(&lab, 2);
}
