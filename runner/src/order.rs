//! Whether a RUN makes sense, before anything is done about it.

use std::collections::BTreeSet;
use std::time::Duration;

use protocol::command::Run;
use protocol::spec::Probe;
use protocol::surroundings::{BROKER, SEED};

/// The longest phase or lease that a RUN may ask for: a day. What is longer is a slip of the pen, and would overflow clocks.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The shortest and the longest sampling interval, ms.
const INTERVAL_MS: std::ops::RangeInclusive<u64> = 100..=10_000;

/// Every reason why the order makes no sense, in words; empty: it does.
#[must_use]
pub fn faults(run: &Run) -> Vec<String> {
    let mut faults = Vec::new();
    if run.services.is_empty() {
        faults.push("it has no service".to_owned());
    }
    let (mut names, mut ports) = (BTreeSet::new(), BTreeSet::new());
    for service in &run.services {
        if !names.insert(&service.name) {
            faults.push(format!("two services are named {}", service.name));
        }
        if [BROKER, SEED].contains(&service.name.as_str()) {
            faults.push(format!("no service may be named {}", service.name));
        }
        match service.port {
            Some(0) => faults.push(format!("service {} has port 0", service.name)),
            Some(port) if !ports.insert(port) => faults.push(format!("two services have port {port}")),
            _ => {}
        }
        if service.port.is_none() && !matches!(service.ready, Probe::Started(_)) {
            faults.push(format!("service {} has no port, so it cannot be asked", service.name));
        }
    }
    if let Some(broker) = &run.broker {
        for port in [Some(broker.port).filter(|&port| port > 0), broker.port.checked_add(1)] {
            if !port.is_some_and(|port| ports.insert(port)) {
                faults.push(format!("the broker's port {} or the next is taken or 0", broker.port));
            }
        }
    }
    if !INTERVAL_MS.contains(&run.sampling.interval_ms) {
        faults.push(format!(
            "the sampling interval of {} ms is not within {} to {}",
            run.sampling.interval_ms,
            INTERVAL_MS.start(),
            INTERVAL_MS.end()
        ));
    }
    if run.resources.memory_mib == Some(0) {
        faults.push("the memory limit is 0".to_owned());
    }
    let deadlines = &run.deadlines;
    for (what, given) in [
        ("prepare_ms", deadlines.prepare_ms),
        ("ready_ms", deadlines.ready_ms),
        ("lease_ms", deadlines.lease_ms),
        ("grace_ms", deadlines.grace_ms),
        ("seed.deadline_ms", run.seed.as_ref().map_or(1, |seed| seed.deadline_ms)),
    ] {
        let shortest = u64::from(what != "grace_ms");
        if given < shortest || Duration::from_millis(given) > LONGEST {
            faults.push(format!("{what} = {given} is not within {shortest} and a day"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::run;

    #[test]
    fn a_sound_order_has_no_faults() {
        assert_eq!(faults(&run(10)), Vec::<String>::new());
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let mut bad = run(10);
        bad.services.push(bad.services[0].clone());
        bad.sampling.interval_ms = 99;
        bad.resources.memory_mib = Some(0);
        bad.deadlines.lease_ms = 0;
        bad.deadlines.ready_ms = u64::MAX;
        let text = faults(&bad).join("; ");
        for part in ["named web", "port 18080", "99 ms", "memory", "lease_ms = 0", "ready_ms"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        bad.services.clear();
        assert!(faults(&bad).join("; ").contains("no service"));
    }
}
