//! The resource breakdown: CPU time and memory of the host in the measurement window in four views: the services, their processes as pidstat reports
//! them, the platform's overhead, and the whole host. The CPU rows do not overlap; the remainder to the host total is reported.
//!
//! * [`cpu`] — CPU time.
//! * [`memory`] — memory by every available measure.
//! * [`counters`] — every other counter.

mod builder;
pub mod counters;
pub mod cpu;
pub mod memory;

use protocol::sample::Sample;
use serde::{Deserialize, Serialize};

pub use builder::{BreakdownScope, EdgeDistance};
pub use counters::SubjectCounters;
pub use cpu::{CpuBreakdown, CpuRow, HostCpu, Owner};
pub use memory::{MemoryBreakdown, PartMemory, ServiceMemory};

use super::recording::Recording;
use builder::Builder;

/// The resource breakdown of a window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceBreakdown {
    /// CPU time.
    pub cpu: CpuBreakdown,
    /// Memory.
    pub memory: MemoryBreakdown,
    /// Every counter of every subject.
    #[serde(rename = "views")]
    pub counters: Vec<SubjectCounters>,
    /// The distance of the nearest full readings from the window's edges; `None`: the host was not sampled.
    #[serde(default)]
    pub edges: Option<EdgeDistance>,
}

/// Computes the breakdown of a window; `None`: the window is empty, or there are no samples.
#[must_use]
pub fn resource_breakdown(samples: &[Sample], scope: &BreakdownScope<'_>) -> Option<ResourceBreakdown> {
    let length_ns = scope.window.length_ns()?;
    let recording = Recording::of(samples);
    recording.subjects().next()?;
    let builder = Builder {
        recording: &recording,
        scope,
        length_ns: length_ns as f64,
    };
    Some(ResourceBreakdown {
        cpu: cpu::cpu(&builder),
        memory: memory::memory(&builder),
        counters: counters::all(&builder),
        edges: builder.edges(),
    })
}

#[cfg(test)]
mod tests;
