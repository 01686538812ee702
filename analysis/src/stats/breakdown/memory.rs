//! Memory of services and platform by every available measure: resident, proportional, charged to a cgroup, shown by the engine, given to a guest.

use std::collections::BTreeSet;

use protocol::Name;
use protocol::sample::{Counter, ServiceRef, Subject, WholeHost};
use serde::{Deserialize, Serialize};

use super::builder::Builder;
use crate::stats::process_group::ProcessGroup;
use crate::stats::usage;

/// Memory, bytes. What a host or platform does not report is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryBreakdown {
    /// The services.
    pub services: Vec<ServiceMemory>,
    /// The platform's processes, by part, and the runner.
    pub platform: Vec<PartMemory>,
    /// Memory in use on the host: total less available; mean over the window.
    pub host_used_bytes: Option<f64>,
    /// The host's total memory.
    pub host_total_bytes: Option<f64>,
}

/// The memory of one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceMemory {
    /// The service.
    pub service: Name,
    /// Resident memory of its processes, mean over the window.
    pub rss_bytes: Option<f64>,
    /// Peak resident memory according to the kernel, summed over its processes.
    pub peak_rss_bytes: Option<f64>,
    /// Proportional memory (PSS) at READY.
    pub pss_ready_bytes: Option<f64>,
    /// PSS at the beginning of the window; `None`: not read within a second of it.
    #[serde(default)]
    pub pss_start_bytes: Option<f64>,
    /// PSS at the end of the window; `None`: not read within a second of it.
    #[serde(default)]
    pub pss_end_bytes: Option<f64>,
    /// PSS at STOP.
    pub pss_stop_bytes: Option<f64>,
    /// The anonymous part of PSS at STOP.
    pub pss_anon_bytes: Option<f64>,
    /// The file-backed part of PSS at STOP.
    pub pss_file_bytes: Option<f64>,
    /// The shared-memory part of PSS at STOP.
    pub pss_shmem_bytes: Option<f64>,
    /// Memory not shared with any other process, at STOP.
    pub private_bytes: Option<f64>,
    /// Huge pages of hugetlbfs at STOP, contained in no other figure.
    pub hugetlb_bytes: Option<f64>,
    /// Charged to its cgroup, mean over the window.
    pub charged_bytes: Option<f64>,
    /// Peak charge since its start.
    pub charged_peak_bytes: Option<f64>,
    /// The anonymous part of the charge.
    pub anon_bytes: Option<f64>,
    /// The page cache in the charge.
    pub file_bytes: Option<f64>,
    /// The kernel memory in the charge.
    pub kernel_bytes: Option<f64>,
    /// The socket buffers in the charge.
    pub sock_bytes: Option<f64>,
    /// Working set: the charge less inactive page cache, as cAdvisor and Kubernetes define it.
    pub working_set_bytes: Option<f64>,
    /// Memory as shown by `docker stats` at STOP.
    pub docker_stats_bytes: Option<f64>,
    /// Memory given to its guest (`-m`).
    pub guest_bytes: Option<f64>,
    /// Memory in use at STOP as reported by the guest itself (OSv's REST API).
    #[serde(default)]
    pub guest_used_bytes: Option<f64>,
}

/// The memory of a part of the platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartMemory {
    /// The part: `dockerd`, ..., `runner`.
    pub part: String,
    /// The service that it works for; `None`: all.
    pub service: Option<Name>,
    /// Resident memory, mean over the window.
    pub rss_bytes: Option<f64>,
    /// PSS at STOP.
    pub pss_stop_bytes: Option<f64>,
}

pub(super) fn memory(builder: &Builder<'_>) -> MemoryBreakdown {
    let names: BTreeSet<&Name> = builder
        .recording
        .select(|subject| match subject {
            Subject::Process(of) => Some(&of.service),
            _ => None,
        })
        .map(|(name, _)| name)
        .collect();
    let series = |counter| builder.recording.series(&Subject::Host(WholeHost {}), counter);
    let mean = |counter| series(counter).mean(builder.from(), builder.to());
    let total = mean(Counter::MemoryBytes);
    MemoryBreakdown {
        services: names.into_iter().map(|name| service_memory(builder, name)).collect(),
        platform: platform_memory(builder),
        host_used_bytes: total.zip(mean(Counter::AvailableBytes)).map(|(all, free)| all - free),
        host_total_bytes: total,
    }
}

/// How close to an edge of the window page tables must have been read, ns.
const NEAR_NS: u64 = 1_000_000_000;

fn service_memory(builder: &Builder<'_>, name: &Name) -> ServiceMemory {
    let processes = usage::processes(builder.recording, name, &builder.scope.window);
    let subject = |of: fn(ServiceRef) -> Subject| of(ServiceRef { service: name.clone() });
    let group = |counter| {
        let series = builder.recording.series(&subject(Subject::Cgroup), counter);
        series.mean(builder.from(), builder.to())
    };
    let in_guest = |counter| builder.recording.series(&subject(Subject::Guest), counter).last();
    let inactive = group(Counter::InactiveFileBytes);
    ServiceMemory {
        service: name.clone(),
        rss_bytes: processes.mean(Counter::RssBytes, builder.from(), builder.to()),
        peak_rss_bytes: processes.last(Counter::PeakRssBytes),
        pss_ready_bytes: processes.first(Counter::PssBytes),
        pss_start_bytes: processes.near(Counter::PssBytes, builder.from(), NEAR_NS),
        pss_end_bytes: processes.near(Counter::PssBytes, builder.to(), NEAR_NS),
        pss_stop_bytes: processes.last(Counter::PssBytes),
        pss_anon_bytes: processes.last(Counter::PssAnonBytes),
        pss_file_bytes: processes.last(Counter::PssFileBytes),
        pss_shmem_bytes: processes.last(Counter::PssShmemBytes),
        private_bytes: processes.last(Counter::PrivateBytes),
        hugetlb_bytes: processes.last(Counter::HugetlbBytes),
        charged_bytes: group(Counter::MemoryBytes),
        charged_peak_bytes: builder
            .recording
            .series(&subject(Subject::Cgroup), Counter::PeakBytes)
            .last(),
        anon_bytes: group(Counter::AnonBytes),
        file_bytes: group(Counter::FileBytes),
        kernel_bytes: group(Counter::KernelBytes),
        sock_bytes: group(Counter::SockBytes),
        working_set_bytes: group(Counter::MemoryBytes)
            .zip(inactive)
            .map(|(all, file)| (all - file).max(0.0)),
        docker_stats_bytes: builder
            .recording
            .series(&subject(Subject::Engine), Counter::ShownBytes)
            .last(),
        guest_bytes: processes.last(Counter::GuestMemoryBytes),
        guest_used_bytes: in_guest(Counter::MemoryBytes)
            .zip(in_guest(Counter::FreeBytes))
            .map(|(all, free)| (all - free).max(0.0)),
    }
}

/// The name of a platform part, and the service that it works for.
fn named(subject: &Subject) -> Option<(String, Option<Name>)> {
    match subject {
        Subject::Platform(of) => Some((of.part.to_string(), of.service.clone())),
        Subject::Runner(_) => Some(("runner".to_owned(), None)),
        _ => None,
    }
}

fn platform_memory(builder: &Builder<'_>) -> Vec<PartMemory> {
    let keys: BTreeSet<_> = builder.recording.select(named).map(|(key, _)| key).collect();
    let one = |(part, service): (String, Option<Name>)| {
        let wanted = (part.clone(), service.clone());
        let own = builder.recording.select(named).filter(|(key, _)| *key == wanted);
        let processes = ProcessGroup::of(own.map(|(_, samples)| samples), &builder.scope.window);
        PartMemory {
            part,
            service,
            rss_bytes: processes.mean(Counter::RssBytes, builder.from(), builder.to()),
            pss_stop_bytes: processes.last(Counter::PssBytes),
        }
    };
    keys.into_iter().map(one).collect()
}
