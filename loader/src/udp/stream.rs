//! A stream over all flows, from its first packet to its last reply.

use std::thread::{Builder, scope};

use super::book::{Book, Counts, State};
use super::flow::{Flow, Flown};
use crate::clock::Clock;
use crate::control::Control;
use crate::error::LoadError;
use crate::part::Part;
use protocol::load::Usage;
use protocol::load::{SearchStep, StreamFigures};

/// A stream that is ordered of all flows together.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// How many packets.
    pub packets: u64,
    /// Their distance, ns.
    pub pace_ns: u64,
    /// Packets under way at most.
    pub window: Option<u64>,
    /// After which a packet is lost, ns.
    pub timeout_ns: u64,
    /// When the first is due, ns of the run.
    pub start_ns: u64,
    /// What its packets bear that those of other streams do not.
    pub tag: u16,
}

impl Order {
    /// What falls to a machine, or on it to a flow: every n-th packet of the pace.
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

/// A stream that is over.
#[derive(Debug)]
pub struct Streamed {
    /// When its first packet was due, ns of the run.
    pub start_ns: u64,
    /// What became of the packets of each flow.
    pub books: Vec<Book>,
    /// What each thread took.
    pub usage: Vec<Usage>,
    refused: u64,
    dropped: Option<u64>,
}

/// Runs a stream, a thread for each flow.
pub fn run(flows: &mut [Flow], clock: Clock, order: &Order, control: &Control) -> Result<Streamed, LoadError> {
    let threads = flows.len();
    let flown = scope(|scope| {
        let running: Vec<_> = flows
            .iter_mut()
            .enumerate()
            .map(|(thread, flow)| {
                let share = order.part(Part::nth(thread, threads));
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
            .collect::<Result<Vec<Flown>, _>>()
    })?;
    Ok(Streamed {
        start_ns: order.start_ns,
        refused: flown.iter().map(|flow| flow.refused).sum(),
        dropped: flown.iter().map(|flow| flow.dropped).sum(),
        usage: flown.iter().map(|flow| flow.usage).collect(),
        books: flown.into_iter().map(|flow| flow.book).collect(),
    })
}

impl Streamed {
    /// Its figures.
    pub fn figures(&self) -> StreamFigures {
        let counts = self
            .books
            .iter()
            .map(Book::counts)
            .fold(Counts::default(), Counts::plus);
        let packets = || self.books.iter().flat_map(Book::packets);
        let of = |wanted: fn(&State) -> bool| packets().filter(|packet| wanted(&packet.state)).count() as u64;
        let answered = || packets().filter(|packet| packet.state == State::Answered);
        let first_ns = packets().map(|packet| packet.sent_ns).min().unwrap_or(0);
        let last_ns = answered().map(|packet| packet.done_ns).max().unwrap_or(first_ns);
        let unsent = of(|state| matches!(state, State::Failed(kind) if is_unsent(*kind)));
        StreamFigures {
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

    /// It, as a step of the search for a pace.
    pub fn step(&self, pace_ns: u64) -> SearchStep {
        let figures = self.figures();
        SearchStep {
            pace_ns,
            sent: figures.sent,
            lost: figures.lost + figures.unsent + figures.wrong,
            dropped: figures.dropped,
            sending_ns: figures.sending_ns,
        }
    }
}

/// Whether a packet that ended so never left.
fn is_unsent(kind: crate::error::ErrorKind) -> bool {
    use crate::error::ErrorKind;
    !matches!(kind, ErrorKind::WrongBody | ErrorKind::Cancelled)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Machines, and threads of each, together send the packets of the whole stream at the whole stream's times.
        #[test]
        fn the_parts_together_are_the_whole(
            packets in 0_u64..500, machines in 1_usize..5, threads in 1_usize..4, pace_ns in 1_u64..1000, window in 0_u64..100,
        ) {
            let whole = Order { packets, pace_ns, window: Some(window), timeout_ns: 1, start_ns: 17, tag: 0 };
            let parts: Vec<_> = (0..machines)
                .flat_map(|machine| (0..threads).map(move |thread| (machine, thread)))
                .map(|(machine, thread)| whole.part(Part::nth(machine, machines)).part(Part::nth(thread, threads)))
                .collect();
            let times = |order: &Order| {
                let (start_ns, pace_ns) = (order.start_ns, order.pace_ns);
                (0..order.packets).map(move |number| start_ns + number * pace_ns).collect::<Vec<_>>()
            };
            let mut merged: Vec<_> = parts.iter().flat_map(times).collect();
            merged.sort_unstable();
            prop_assert_eq!(merged, times(&whole));
            prop_assert_eq!(parts.iter().filter_map(|part| part.window).sum::<u64>(), window);
        }
    }
}
