//! The inputs of a resource breakdown.

use std::collections::BTreeSet;

use protocol::Name;
use protocol::event::IdleWindow;
use protocol::sample::{Counter, Subject, WholeHost};
use serde::{Deserialize, Serialize};

use crate::stats::recording::{Recording, SampleWindow};

/// The distance of the nearest full reading from each edge of the window. Cumulative counters are interpolated linearly between the readings
/// before and after the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeDistance {
    /// From the beginning, ns.
    pub start_off_ns: u64,
    /// From the end, ns.
    pub end_off_ns: u64,
}

/// The window, and what is known about services and host.
#[derive(Clone, Copy, Debug)]
pub struct BreakdownScope<'a> {
    /// The measurement window.
    pub window: SampleWindow,
    /// Auxiliary services: processes of the host whatever the platform.
    pub auxiliary: &'a BTreeSet<Name>,
    /// The host just before the trial; `None`: not measured.
    pub idle: Option<&'a IdleWindow>,
}

/// The inputs of all parts of a breakdown.
pub(super) struct Builder<'a> {
    pub recording: &'a Recording<'a>,
    pub scope: &'a BreakdownScope<'a>,
    pub length_ns: f64,
}

impl Builder<'_> {
    pub const fn from(&self) -> u64 {
        self.scope.window.start_ns
    }

    pub const fn to(&self) -> u64 {
        self.scope.window.end_ns
    }

    /// The host is part of every full reading.
    pub fn edges(&self) -> Option<EdgeDistance> {
        let host = Subject::Host(WholeHost {});
        let series = self.recording.series(&host, Counter::UserTicks);
        let off = |at| series.nearest(at).map(|(offset, _)| offset.abs_diff(at));
        Some(EdgeDistance {
            start_off_ns: off(self.from())?,
            end_off_ns: off(self.to())?,
        })
    }

    pub const fn was_sampling(&self) -> bool {
        self.recording.was_sampling_at(self.scope.window.start_ns)
    }

    /// CPU time as % of one CPU over the window.
    pub fn percent(&self, ns: f64) -> f64 {
        ns / self.length_ns * 100.0
    }
}
