//! A whole run with guests of Hermit, which no driver of ours knows: its description is the user's. `JUNG_HERMIT_LOADER` and `JUNG_HERMIT_IMAGE` name
//! its loader and our service (`deploy/hermit`).

use std::ffi::OsString;

use crate::guest_lab::{both_services, describe, platform, served};
use crate::lab::Lab;

/// What a variable names.
fn named(variable: &str) -> OsString {
    std::env::var_os(variable).unwrap_or_else(|| {
        panic!("{variable} names no part of Hermit (deploy/hermit/README.md); without one, --skip hermit::")
    })
}

/// Packets are left out: Hermit 0.10 falls silent now and then after the first ones.
#[test]
#[ignore = "needs QEMU"]
fn a_description_alone_serves_requests_on_both_networks() {
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
    served(&lab, 2);
}
