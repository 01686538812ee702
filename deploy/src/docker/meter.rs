//! The engine's own figures of a container, as in `docker stats`, for comparison with the sampler's.

use std::time::Duration;

use bollard::models::ContainerStatsResponse;
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::StreamExt;
use protocol::ids::Name;
use protocol::sample::{Counter, Counters};
use tokio::time::timeout;

/// How long the engine may take to reply.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Reads an engine's figures of some containers.
#[derive(Clone, Debug)]
pub struct EngineMeter {
    docker: bollard::Docker,
    /// The services with the names of their containers.
    containers: Vec<(Name, String)>,
}

impl EngineMeter {
    pub(super) const fn new(docker: bollard::Docker, containers: Vec<(Name, String)>) -> Self {
        Self { docker, containers }
    }

    /// The current figures. A container for which the engine does not reply is left out.
    pub(super) async fn figures(&self) -> Vec<(Name, Counters)> {
        let mut found = Vec::new();
        for (service, container) in &self.containers {
            let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
            let mut replies = self.docker.stats(container, Some(options));
            if let Ok(Some(Ok(reply))) = timeout(TIMEOUT, replies.next()).await {
                found.push((service.clone(), counters(&reply)));
            }
        }
        found
    }
}

/// The figures behind `docker stats`, and the memory that it shows: the charged memory less the inactive page cache, as the client computes it since version
/// 20.10.
fn counters(reply: &ContainerStatsResponse) -> Counters {
    let mut counters = Counters::default();
    let mut put = |counter, value: Option<u64>| {
        if let Some(value) = value {
            counters.put(counter, value);
        }
    };
    let cpu = reply.cpu_stats.as_ref().and_then(|cpu| cpu.cpu_usage.as_ref());
    put(Counter::CpuNs, cpu.and_then(|cpu| cpu.total_usage));
    put(Counter::UserNs, cpu.and_then(|cpu| cpu.usage_in_usermode));
    put(Counter::SystemNs, cpu.and_then(|cpu| cpu.usage_in_kernelmode));
    if let Some(memory) = &reply.memory_stats {
        let stat = |key: &str| memory.stats.as_ref()?.get(key).copied();
        // cgroup v1 includes the children under the first name, v2 under the second.
        let inactive = stat("total_inactive_file").or_else(|| stat("inactive_file"));
        put(Counter::MemoryBytes, memory.usage);
        put(Counter::InactiveFileBytes, inactive);
        put(Counter::ShownBytes, memory.usage.map(|usage| shown(usage, inactive)));
    }
    counters
}

/// The client's formula: the usage less the inactive page cache, unless that exceeds the usage.
const fn shown(usage: u64, inactive: Option<u64>) -> u64 {
    match inactive {
        Some(inactive) if inactive < usage => usage - inactive,
        _ => usage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_both_cgroup_versions_are_those_of_docker_stats() {
        for (key, other) in [
            ("total_inactive_file", "inactive_file"),
            ("inactive_file", "unevictable"),
        ] {
            let json = serde_json::json!({
                "cpu_stats": {"cpu_usage": {"total_usage": 900, "usage_in_usermode": 600, "usage_in_kernelmode": 300}},
                "memory_stats": {"usage": 10_000, "stats": {key: 4000, other: 1}},
            });
            let answer: ContainerStatsResponse = serde_json::from_value(json).unwrap();
            let expected = [
                (Counter::CpuNs, 900),
                (Counter::UserNs, 600),
                (Counter::SystemNs, 300),
                (Counter::MemoryBytes, 10_000),
                (Counter::InactiveFileBytes, 4000),
                (Counter::ShownBytes, 6000),
            ];
            assert_eq!(counters(&answer).iter().collect::<Vec<_>>(), expected);
        }
        assert_eq!((shown(5, Some(7)), shown(5, None)), (5, 5));
        assert!(counters(&ContainerStatsResponse::default()).is_empty());
    }
}
