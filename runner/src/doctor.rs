//! `runner check`: which platforms can be used on this host.

use std::fmt::Write;

use deploy::{AnyDriver, Driver, Host};
use protocol::facts::{HostFacts, PlatformFacts};
use protocol::spec::PlatformKind;

use crate::facts;

/// Probes every platform and describes the host.
pub async fn probe_all(host: &Host) -> HostFacts {
    let mut facts = facts::facts(host, &[]).await;
    for driver in AnyDriver::all(host) {
        facts.platforms.push(driver.probe().await);
    }
    facts
}

/// The facts as text.
#[must_use]
pub fn render(facts: &HostFacts) -> String {
    let governor = facts.cpu.governor.as_deref().unwrap_or("none");
    let cgroup = facts
        .cgroup_version
        .map_or("none".to_owned(), |version| format!("v{version}"));
    let mut text = format!(
        "host {}: {}, kernel {}, {} x {}, {} MiB, cgroup {cgroup}, governor {governor}, /dev/kvm {}\n",
        facts.host,
        facts.os,
        facts.kernel,
        facts.cpus,
        facts.cpu_model,
        facts.memory_bytes >> 20,
        if facts.kvm_opens { "opens" } else { "does not open" },
    );
    for platform in facts
        .platforms
        .iter()
        .filter(|platform| platform.kind != PlatformKind::Fake)
    {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", line(platform));
    }
    text
}

fn line(platform: &PlatformFacts) -> String {
    match &platform.unmet {
        Some(unmet) => format!(
            "platform {}: unavailable: {}; {}",
            platform.kind, unmet.need, unmet.remedy
        ),
        None => {
            let details: Vec<String> = platform
                .details
                .iter()
                .map(|(key, value)| format!("{key} {value}"))
                .collect();
            format!("platform {}: available ({})", platform.kind, details.join(", "))
        }
    }
}
