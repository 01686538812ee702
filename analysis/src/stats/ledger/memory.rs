//! The same bytes by every meter: resident, proportional, charged to a cgroup, shown by the engine, given to a guest; and what the platform has beside.

use std::collections::BTreeSet;

use protocol::Name;
use protocol::sample::{Counter, ServiceRef, Subject, WholeHost};
use serde::{Deserialize, Serialize};

use super::Book;
use crate::stats::family::Family;
use crate::stats::usage;

/// Memory, bytes. What a host or platform does not have is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryLedger {
    /// Each service.
    pub services: Vec<MemoryOf>,
    /// Each part of the platform that is a process of its own, and the runner.
    pub platform: Vec<PartMemory>,
    /// What the host has in use, which is its memory less what is available; mean over the window.
    pub host_used_bytes: Option<f64>,
    /// The host's memory.
    pub host_total_bytes: Option<f64>,
}

/// The memory of one service, by every meter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryOf {
    /// The service.
    pub service: Name,
    /// Resident memory of its processes, mean over the window.
    pub rss_bytes: Option<f64>,
    /// The highest that the kernel has seen of any moment, summed over its processes.
    pub peak_rss_bytes: Option<f64>,
    /// Proportional memory at READY.
    pub pss_ready_bytes: Option<f64>,
    /// Proportional memory where the window begins; `None`: not read within a second of it.
    #[serde(default)]
    pub pss_start_bytes: Option<f64>,
    /// Proportional memory where the window ends; `None`: not read within a second of it.
    #[serde(default)]
    pub pss_end_bytes: Option<f64>,
    /// Proportional memory at STOP.
    pub pss_stop_bytes: Option<f64>,
    /// Its anonymous part at STOP.
    pub pss_anon_bytes: Option<f64>,
    /// Its part of files at STOP.
    pub pss_file_bytes: Option<f64>,
    /// Its shared part at STOP.
    pub pss_shmem_bytes: Option<f64>,
    /// Memory that no other process has, at STOP.
    pub private_bytes: Option<f64>,
    /// Huge pages of hugetlbfs at STOP, which are in no other figure.
    pub hugetlb_bytes: Option<f64>,
    /// Charged to its cgroup, mean over the window.
    pub charged_bytes: Option<f64>,
    /// The highest charge since its start.
    pub charged_peak_bytes: Option<f64>,
    /// The anonymous part of the charge.
    pub anon_bytes: Option<f64>,
    /// The page cache in the charge.
    pub file_bytes: Option<f64>,
    /// The kernel's part of the charge.
    pub kernel_bytes: Option<f64>,
    /// The sockets' part of the charge.
    pub sock_bytes: Option<f64>,
    /// The charge less the page cache that goes first, as cAdvisor and Kubernetes have it.
    pub working_set_bytes: Option<f64>,
    /// What `docker stats` shows at STOP.
    pub docker_stats_bytes: Option<f64>,
    /// The memory that its guest was given (`-m`).
    pub guest_bytes: Option<f64>,
    /// What of it the system in the guest says that is in use at STOP, where it is asked (OSv's REST API).
    #[serde(default)]
    pub guest_used_bytes: Option<f64>,
}

/// The memory of a part of the platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartMemory {
    /// What it is: `dockerd`, ..., `runner`.
    pub part: String,
    /// The service that it works for; `None`: all.
    pub service: Option<Name>,
    /// Resident memory, mean over the window.
    pub rss_bytes: Option<f64>,
    /// Proportional memory at STOP.
    pub pss_stop_bytes: Option<f64>,
}

pub(super) fn memory(book: &Book<'_>) -> MemoryLedger {
    let names: BTreeSet<&Name> = book
        .recording
        .only(|subject| match subject {
            Subject::Process(of) => Some(&of.service),
            _ => None,
        })
        .map(|(name, _)| name)
        .collect();
    let track = |counter| book.recording.track(&Subject::Host(WholeHost {}), counter);
    let mean = |counter| track(counter).mean(book.from(), book.to());
    let total = mean(Counter::MemoryBytes);
    MemoryLedger {
        services: names.into_iter().map(|name| of_service(book, name)).collect(),
        platform: parts(book),
        host_used_bytes: total.zip(mean(Counter::AvailableBytes)).map(|(all, free)| all - free),
        host_total_bytes: total,
    }
}

/// How far from an edge of the window page tables may have been walked to count as there.
const NEAR_NS: u64 = 1_000_000_000;

fn of_service(book: &Book<'_>, name: &Name) -> MemoryOf {
    let family = usage::family(book.recording, name, &book.frame.cut);
    let subject = |of: fn(ServiceRef) -> Subject| of(ServiceRef { service: name.clone() });
    let group = |counter| {
        let track = book.recording.track(&subject(Subject::Cgroup), counter);
        track.mean(book.from(), book.to())
    };
    let inside = |counter| book.recording.track(&subject(Subject::Guest), counter).last();
    let inactive = group(Counter::InactiveFileBytes);
    MemoryOf {
        service: name.clone(),
        rss_bytes: family.mean(Counter::RssBytes, book.from(), book.to()),
        peak_rss_bytes: family.last(Counter::PeakRssBytes),
        pss_ready_bytes: family.first(Counter::PssBytes),
        pss_start_bytes: family.near(Counter::PssBytes, book.from(), NEAR_NS),
        pss_end_bytes: family.near(Counter::PssBytes, book.to(), NEAR_NS),
        pss_stop_bytes: family.last(Counter::PssBytes),
        pss_anon_bytes: family.last(Counter::PssAnonBytes),
        pss_file_bytes: family.last(Counter::PssFileBytes),
        pss_shmem_bytes: family.last(Counter::PssShmemBytes),
        private_bytes: family.last(Counter::PrivateBytes),
        hugetlb_bytes: family.last(Counter::HugetlbBytes),
        charged_bytes: group(Counter::MemoryBytes),
        charged_peak_bytes: book
            .recording
            .track(&subject(Subject::Cgroup), Counter::PeakBytes)
            .last(),
        anon_bytes: group(Counter::AnonBytes),
        file_bytes: group(Counter::FileBytes),
        kernel_bytes: group(Counter::KernelBytes),
        sock_bytes: group(Counter::SockBytes),
        working_set_bytes: group(Counter::MemoryBytes)
            .zip(inactive)
            .map(|(all, file)| (all - file).max(0.0)),
        docker_stats_bytes: book
            .recording
            .track(&subject(Subject::Engine), Counter::ShownBytes)
            .last(),
        guest_bytes: family.last(Counter::GuestMemoryBytes),
        guest_used_bytes: inside(Counter::MemoryBytes)
            .zip(inside(Counter::FreeBytes))
            .map(|(all, free)| (all - free).max(0.0)),
    }
}

/// What a part of the platform is called, and for whom it works.
fn named(subject: &Subject) -> Option<(String, Option<Name>)> {
    match subject {
        Subject::Platform(of) => Some((of.part.to_string(), of.service.clone())),
        Subject::Runner(_) => Some(("runner".to_owned(), None)),
        _ => None,
    }
}

fn parts(book: &Book<'_>) -> Vec<PartMemory> {
    let keys: BTreeSet<_> = book.recording.only(named).map(|(key, _)| key).collect();
    let one = |(part, service): (String, Option<Name>)| {
        let wanted = (part.clone(), service.clone());
        let own = book.recording.only(named).filter(|(key, _)| *key == wanted);
        let family = Family::of(own.map(|(_, samples)| samples), &book.frame.cut);
        PartMemory {
            part,
            service,
            rss_bytes: family.mean(Counter::RssBytes, book.from(), book.to()),
            pss_stop_bytes: family.last(Counter::PssBytes),
        }
    };
    keys.into_iter().map(one).collect()
}
