//! The validation of a RUN, before anything is done.

use std::collections::BTreeSet;
use std::time::Duration;

use protocol::Name;
use protocol::command::Run;
use protocol::spec::{BROKER, BrokerSpec, Probe, SEED, ServiceSource};

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
    let mut names = BTreeSet::new();
    for service in &run.services {
        if !names.insert(&service.name) {
            problems.push(format!("two services are named {}", service.name));
        }
        if [BROKER, SEED].contains(&service.name.as_str()) {
            problems.push(format!("the service name {} is reserved", service.name));
        }
    }
    let known = run.services.iter().filter_map(|service| match &service.source {
        ServiceSource::Workload(workload) => Some(Listener {
            service: &service.name,
            port: workload.port,
            probe: &workload.ready,
        }),
        ServiceSource::Named(_) | ServiceSource::Inline(_) => None,
    });
    problems.extend(port_problems(known, run.broker.as_ref()));
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
        ("seed_ms", deadlines.seed_ms),
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

/// A service, as far as its port is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Listener<'a> {
    /// The service.
    pub service: &'a Name,
    /// Its port.
    pub port: Option<u16>,
    /// Its probe.
    pub probe: &'a Probe,
}

impl<'a> From<&'a deploy::Service> for Listener<'a> {
    fn from(service: &'a deploy::Service) -> Self {
        Self {
            service: &service.name,
            port: service.port,
            probe: service.probe(),
        }
    }
}

/// Every problem of ports; empty: there is none.
#[must_use]
pub fn port_problems<'a>(services: impl Iterator<Item = Listener<'a>>, broker: Option<&BrokerSpec>) -> Vec<String> {
    let (mut problems, mut ports) = (Vec::new(), BTreeSet::new());
    for Listener { service, port, probe } in services {
        match port {
            Some(0) => problems.push(format!("service {service} has port 0")),
            Some(port) if !ports.insert(port) => problems.push(format!("two services have port {port}")),
            _ => {}
        }
        if port.is_none() && probe.needs_port() {
            problems.push(format!(
                "service {service} has no port, which its readiness probe needs"
            ));
        }
    }
    if let Some(broker) = broker {
        for port in [Some(broker.port).filter(|&port| port > 0), broker.port.checked_add(1)] {
            if !port.is_some_and(|port| ports.insert(port)) {
                problems.push(format!(
                    "the broker's port {} or the next one is 0 or in use by a service",
                    broker.port
                ));
            }
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
