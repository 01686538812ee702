//! What the manifest keeps of an experiment.

use analysis::store::{ExperimentRecord, LoadRecord, PlatformRecord, WorkloadRecord};

use super::{Experiment, Order, Workload, WorkloadKind};

/// What reports need, and nothing that could be a secret.
impl From<&Experiment> for ExperimentRecord {
    fn from(experiment: &Experiment) -> Self {
        let platforms = experiment.platforms.iter().map(|platform| PlatformRecord {
            name: platform.name.clone(),
            spec: platform.spec.clone(),
        });
        let loads = experiment.loads.iter().map(|load| LoadRecord {
            name: load.name.clone(),
            spec: load.spec.clone(),
        });
        Self {
            name: experiment.name.clone(),
            iterations: experiment.iterations,
            seed: experiment.seed,
            order: match experiment.order {
                Order::RandomizedBlocks => "randomized-blocks",
                Order::Batch => "batch",
            }
            .to_owned(),
            max_attempts: experiment.max_attempts,
            baseline: experiment.baseline.clone(),
            platforms: platforms.collect(),
            workloads: experiment.workloads.iter().map(record).collect(),
            loads: loads.collect(),
            skips: experiment.skips.clone(),
            resources: experiment.resources.clone(),
            sampling_interval_ms: u64::try_from(experiment.sampling_interval.as_millis()).unwrap_or(u64::MAX),
            loaders: experiment.loaders.clone(),
        }
    }
}

fn record(workload: &Workload) -> WorkloadRecord {
    let what = match &workload.kind {
        WorkloadKind::Tcp(tcp) => format!("HTTP/1.1 over TCP, {} bytes a reply", tcp.reply_bytes),
        WorkloadKind::Jung(jung) => jung.summary(),
        WorkloadKind::Udp(udp) => match udp.letters {
            Some(letters) => format!("UDP, {letters} letters and the packet's number a reply"),
            None => "UDP, an echo".to_owned(),
        },
    };
    WorkloadRecord {
        name: workload.name.clone(),
        what,
        transport: workload.kind.transport(),
    }
}
