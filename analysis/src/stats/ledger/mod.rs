//! Where the CPU and the memory of the host went in the measured window, seen four ways: the services, their processes as pidstat sees them, what the
//! platform costs beside them, and the whole host. The rows do not overlap and must add up to the host; what remains is told.
//!
//! * [`cpu`] — the rows of CPU time, and the sum.
//! * [`memory`] — the same bytes by every meter.
//! * [`views`] — every other counter, as it grew or stood.

pub mod cpu;
pub mod memory;
pub mod views;

use std::collections::BTreeSet;

use protocol::Name;
use protocol::event::IdleWindow;
use protocol::sample::{Counter, Sample, Subject, WholeHost};
use serde::{Deserialize, Serialize};

pub use cpu::{CpuLedger, CpuRow, Group, HostCpu};
pub use memory::{MemoryLedger, MemoryOf, PartMemory};
pub use views::View;

use super::recording::{Cut, Recording};

/// Everything that was accounted for in a window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// CPU time.
    pub cpu: CpuLedger,
    /// Memory.
    pub memory: MemoryLedger,
    /// Every counter of everything that was sampled.
    pub views: Vec<View>,
    /// How far from the window's ends all counters were read; `None`: the host was not sampled.
    #[serde(default)]
    pub edges: Option<Edges>,
}

/// The distance of the nearest reading of all counters from each end of the window. In between, what counts is read on the line between the readings
/// before and after the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edges {
    /// From its beginning, ns.
    pub start_off_ns: u64,
    /// From its end, ns.
    pub end_off_ns: u64,
}

/// What the samples are held against.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The measured window.
    pub cut: Cut,
    /// Services that run beside the platform, whatever it is.
    pub beside: &'a BTreeSet<Name>,
    /// The host just before; `None`: it was not looked at.
    pub idle: Option<&'a IdleWindow>,
}

/// Accounts for a window; `None`: it has no length, or nothing was sampled.
#[must_use]
pub fn ledger(samples: &[Sample], frame: &Frame<'_>) -> Option<Ledger> {
    let length_ns = frame.cut.length_ns()?;
    let recording = Recording::of(samples);
    recording.subjects().next()?;
    let book = Book {
        recording: &recording,
        frame,
        length_ns: length_ns as f64,
    };
    Some(Ledger {
        cpu: cpu::cpu(&book),
        memory: memory::memory(&book),
        views: views::views(&book),
        edges: book.edges(),
    })
}

/// What all parts of a ledger are made from.
struct Book<'a> {
    recording: &'a Recording<'a>,
    frame: &'a Frame<'a>,
    length_ns: f64,
}

impl Book<'_> {
    const fn from(&self) -> u64 {
        self.frame.cut.start_ns
    }

    const fn to(&self) -> u64 {
        self.frame.cut.end_ns
    }

    /// All counters are read together, those of the host among them.
    fn edges(&self) -> Option<Edges> {
        let host = Subject::Host(WholeHost {});
        let track = self.recording.track(&host, Counter::UserTicks);
        let off = |at| track.nearest(at).map(|(offset, _)| offset.abs_diff(at));
        Some(Edges {
            start_off_ns: off(self.from())?,
            end_off_ns: off(self.to())?,
        })
    }

    const fn watched(&self) -> bool {
        self.recording.is_watched(self.frame.cut.start_ns)
    }

    /// CPU time as a share of the window, % of one CPU.
    fn percent(&self, ns: f64) -> f64 {
        ns / self.length_ns * 100.0
    }
}

#[cfg(test)]
mod tests;
