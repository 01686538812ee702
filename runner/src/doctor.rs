//! `runner check`: which platforms can be used on this host.

use std::fmt::Write;

use deploy::{AnyDriver, Driver, Host};
use protocol::Name;
use protocol::facts::{HostFacts, PlatformFacts, Unmet};
use protocol::spec::{PlatformKind, ServiceDescription};

use crate::facts;
use crate::services::Catalog;

/// Probes every platform and describes the host.
pub async fn probe_all(host: &Host) -> HostFacts {
    let mut facts = facts::facts(host, &[]).await;
    for driver in AnyDriver::all(host) {
        facts.platforms.push(driver.probe().await);
    }
    facts
}

/// The descriptions of services as text.
#[must_use]
pub fn render_services(catalog: &Catalog) -> String {
    let line = |(name, read): (Name, Result<ServiceDescription, Unmet>)| match read {
        Ok(description) => {
            let kinds = PlatformKind::ALL.into_iter().filter(|kind| *kind != PlatformKind::Fake);
            let kinds = kinds.filter(|kind| description.missing_form(*kind).is_none());
            let kinds: Vec<&str> = kinds.map(PlatformKind::as_str).collect();
            format!(
                "service {name}: {}, for {}\n",
                description.protocol.as_str(),
                kinds.join(", ")
            )
        }
        Err(unmet) => format!("service {name}: unusable: {}; {}\n", unmet.need, unmet.remedy),
    };
    catalog.list().into_iter().map(line).collect()
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
