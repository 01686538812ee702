//! A stream over all flows, from its first packet to its last reply.

use std::thread::{Builder, scope};

use super::flow::{Flow, FlowResult};
use super::packet_log::{Counts, PacketLog, State};
use crate::clock::Clock;
use crate::control::Control;
use crate::error::{ErrorKind, LoadError};
use crate::part::Part;
use protocol::load::{SearchStep, StreamStats, Usage};

/// The specification of a stream.
#[derive(Debug, Clone, Copy)]
pub struct StreamSpec {
    /// Number of packets.
    pub packets: u64,
    /// Interval between packets, ns.
    pub pace_ns: u64,
    /// Maximum number of outstanding packets.
    pub window: Option<u64>,
    /// Time after which a packet is lost, ns.
    pub timeout_ns: u64,
    /// Scheduled time of the first packet, ns of the run.
    pub start_ns: u64,
    /// Distinguishes its packets from those of other streams.
    pub tag: u16,
}

impl StreamSpec {
    /// The share of a machine, or of a flow on a machine: every n-th packet.
    pub fn part(&self, part: Part) -> Self {
        Self {
            packets: part.count(self.packets),
            pace_ns: self.pace_ns.saturating_mul(part.of().into()),
            start_ns: self.start_ns + self.pace_ns.saturating_mul(part.index().into()),
            window: self.window.map(|window| part.count(window)),
            ..*self
        }
    }
}

/// The results of a stream.
#[derive(Debug)]
pub struct StreamResult {
    /// Scheduled time of the first packet, ns of the run.
    pub start_ns: u64,
    /// The packet log of each flow.
    pub logs: Vec<PacketLog>,
    /// CPU usage of each thread.
    pub usage: Vec<Usage>,
    refused: u64,
    dropped: Option<u64>,
}

/// Runs a stream with one thread per flow.
pub fn run(flows: &mut [Flow], clock: Clock, spec: &StreamSpec, control: &Control) -> Result<StreamResult, LoadError> {
    let threads = flows.len();
    let results = scope(|scope| {
        let running: Vec<_> = flows
            .iter_mut()
            .enumerate()
            .map(|(thread, flow)| {
                let share = spec.part(Part::nth(thread, threads));
                Builder::new()
                    .name(format!("load-{thread}"))
                    .spawn_scoped(scope, move || flow.run(share, clock, control))
                    .map_err(|source| LoadError::System {
                        what: "start a thread",
                        source,
                    })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread?.join().unwrap_or(Err(LoadError::Panicked)))
            .collect::<Result<Vec<FlowResult>, _>>()
    })?;
    Ok(StreamResult {
        start_ns: spec.start_ns,
        refused: results.iter().map(|flow| flow.refused).sum(),
        dropped: results.iter().map(|flow| flow.dropped).sum(),
        usage: results.iter().map(|flow| flow.usage).collect(),
        logs: results.into_iter().map(|flow| flow.log).collect(),
    })
}

impl StreamResult {
    /// Statistics of the stream.
    pub fn stats(&self) -> StreamStats {
        let counts = self
            .logs
            .iter()
            .map(PacketLog::counts)
            .fold(Counts::default(), Counts::plus);
        let packets = || self.logs.iter().flat_map(PacketLog::packets);
        let of = |wanted: fn(&State) -> bool| packets().filter(|packet| wanted(&packet.state)).count() as u64;
        let answered = || packets().filter(|packet| packet.state == State::Answered);
        let first_ns = packets().map(|packet| packet.sent_ns).min().unwrap_or(0);
        let last_ns = answered().map(|packet| packet.done_ns).max().unwrap_or(first_ns);
        let unsent = of(|state| matches!(state, State::Failed(kind) if is_unsent(*kind)));
        StreamStats {
            sent: packets().count() as u64 - unsent,
            received: of(|state| *state == State::Answered),
            lost: of(|state| matches!(state, State::Lost | State::Late)),
            late: of(|state| *state == State::Late),
            unsent,
            duplicates: counts.duplicates,
            reordered: counts.reordered,
            furthest_behind: counts.furthest_behind,
            wrong: counts.wrong,
            stray: counts.stray,
            read: counts.read,
            refused: self.refused,
            dropped: self.dropped,
            total_ns: last_ns.saturating_sub(first_ns),
            sending_ns: packets()
                .map(|packet| packet.sent_ns)
                .max()
                .unwrap_or(0)
                .saturating_sub(first_ns),
        }
    }

    /// The stream as a step of the pace search.
    pub fn step(&self, pace_ns: u64) -> SearchStep {
        let stats = self.stats();
        SearchStep {
            pace_ns,
            sent: stats.sent,
            lost: stats.lost + stats.unsent + stats.wrong,
            dropped: stats.dropped,
            sending_ns: stats.sending_ns,
        }
    }
}

/// Whether a packet with this error was not sent.
fn is_unsent(kind: ErrorKind) -> bool {
    !matches!(kind, ErrorKind::WrongBody | ErrorKind::Cancelled)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The threads of all machines together send the packets of the whole stream at their scheduled times.
        #[test]
        fn the_parts_together_equal_the_whole(
            packets in 0_u64..500, machines in 1_usize..5, threads in 1_usize..4, pace_ns in 1_u64..1000, window in 0_u64..100,
        ) {
            let whole = StreamSpec { packets, pace_ns, window: Some(window), timeout_ns: 1, start_ns: 17, tag: 0 };
            let parts: Vec<_> = (0..machines)
                .flat_map(|machine| (0..threads).map(move |thread| (machine, thread)))
                .map(|(machine, thread)| whole.part(Part::nth(machine, machines)).part(Part::nth(thread, threads)))
                .collect();
            let times = |stream: &StreamSpec| {
                let (start_ns, pace_ns) = (stream.start_ns, stream.pace_ns);
                (0..stream.packets).map(move |number| start_ns + number * pace_ns).collect::<Vec<_>>()
            };
            let mut merged: Vec<_> = parts.iter().flat_map(times).collect();
            merged.sort_unstable();
            prop_assert_eq!(merged, times(&whole));
            prop_assert_eq!(parts.iter().filter_map(|part| part.window).sum::<u64>(), window);
        }
    }
}
