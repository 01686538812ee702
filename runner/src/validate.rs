//! The validation of a RUN, before anything is done.

use std::collections::BTreeSet;
use std::time::Duration;

use protocol::command::Run;
use protocol::spec::Probe;
use protocol::spec::{BROKER, SEED};

/// The longest phase or lease: a day. A longer one is a mistake, and could overflow clocks.
const MAX_DEADLINE: Duration = Duration::from_secs(24 * 3600);

/// The valid sampling intervals, ms.
const INTERVAL_MS: std::ops::RangeInclusive<u64> = 100..=10_000;

/// Every problem of a RUN; empty: it is valid.
#[must_use]
pub fn problems(run: &Run) -> Vec<String> {
    let mut problems = Vec::new();
    if run.services.is_empty() {
        problems.push("the RUN has no services".to_owned());
    }
    let (mut names, mut ports) = (BTreeSet::new(), BTreeSet::new());
    for service in &run.services {
        if !names.insert(&service.name) {
            problems.push(format!("two services are named {}", service.name));
        }
        if [BROKER, SEED].contains(&service.name.as_str()) {
            problems.push(format!("the service name {} is reserved", service.name));
        }
        match service.port {
            Some(0) => problems.push(format!("service {} has port 0", service.name)),
            Some(port) if !ports.insert(port) => problems.push(format!("two services have port {port}")),
            _ => {}
        }
        if service.port.is_none() && !matches!(service.ready, Probe::Started(_)) {
            problems.push(format!(
                "service {} has no port, which its readiness probe needs",
                service.name
            ));
        }
    }
    if let Some(broker) = &run.broker {
        for port in [Some(broker.port).filter(|&port| port > 0), broker.port.checked_add(1)] {
            if !port.is_some_and(|port| ports.insert(port)) {
                problems.push(format!(
                    "the broker's port {} or the next one is 0 or in use by a service",
                    broker.port
                ));
            }
        }
    }
    if !INTERVAL_MS.contains(&run.sampling.interval_ms) {
        problems.push(format!(
            "the sampling interval of {} ms is not between {} and {}",
            run.sampling.interval_ms,
            INTERVAL_MS.start(),
            INTERVAL_MS.end()
        ));
    }
    if run.resources.memory_mib == Some(0) {
        problems.push("the memory limit is 0".to_owned());
    }
    let deadlines = &run.deadlines;
    for (what, given) in [
        ("prepare_ms", deadlines.prepare_ms),
        ("ready_ms", deadlines.ready_ms),
        ("lease_ms", deadlines.lease_ms),
        ("grace_ms", deadlines.grace_ms),
        ("seed.deadline_ms", run.seed.as_ref().map_or(1, |seed| seed.deadline_ms)),
    ] {
        let min = u64::from(what != "grace_ms");
        if given < min || Duration::from_millis(given) > MAX_DEADLINE {
            problems.push(format!("{what} = {given} is not between {min} and a day"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::run;

    #[test]
    fn a_valid_run_has_no_problems() {
        assert_eq!(problems(&run(10)), Vec::<String>::new());
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let mut bad = run(10);
        bad.services.push(bad.services[0].clone());
        bad.sampling.interval_ms = 99;
        bad.resources.memory_mib = Some(0);
        bad.deadlines.lease_ms = 0;
        bad.deadlines.ready_ms = u64::MAX;
        let text = problems(&bad).join("; ");
        for part in ["named web", "port 18080", "99 ms", "memory", "lease_ms = 0", "ready_ms"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        bad.services.clear();
        assert!(problems(&bad).join("; ").contains("no services"));
    }
}
