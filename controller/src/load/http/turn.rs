//! The event loop of one thread.

use std::io;
use std::ops::Range;
use std::time::Duration;

use mio::Events;

use super::Pace;
use super::wire::{Wire, nanos};
use crate::load::clock::Clock;
use crate::load::control::Control;
use crate::load::cpu::Schedstat;
use crate::load::error::LoadError;
use crate::load::log::LogWriter;
use crate::load::tally::Tally;

/// How long a cancellation may go unseen.
const ATTENTION: Duration = Duration::from_millis(50);
/// Requests started in one go when several are due, so that replies do not go unread for long.
const BURST: usize = 32;

/// One thread at work.
#[derive(Debug)]
pub struct Turn<'a, P> {
    pub wire: Wire<'a>,
    pub pace: P,
    pub spin: Duration,
    pub control: &'a Control,
}

impl<'a, P: Pace<'a>> Turn<'a, P> {
    /// Runs to the end of the load.
    pub fn run(mut self, clock: Clock) -> Result<(Tally, LogWriter), LoadError> {
        self.wire.clock = clock;
        let before = Schedstat::of_this_thread();
        clock.wait_for_start(self.spin);
        let lane = self.control.lane(usize::from(self.wire.thread));
        let mut events = Events::with_capacity(1024);
        while !self.is_over() {
            self.pace.start_due(&mut self.wire, BURST);
            self.expire();
            lane.publish(self.wire.tally.progress);
            if self.is_over() {
                break;
            }
            self.wait(&mut events).map_err(|source| LoadError::System {
                what: "wait for events",
                source,
            })?;
            for event in &events {
                self.wire.on(event);
                self.settle();
                self.pace.start_due(&mut self.wire, 1);
            }
            if !self.wire.again.is_empty() {
                self.wire.go_on();
                self.settle();
            }
            if self.control.is_cancelled() {
                self.cancel();
            }
        }
        self.wire.tally.usage = Schedstat::of_this_thread().since(before, clock.now_ns());
        lane.publish(self.wire.tally.progress);
        Ok((self.wire.tally, self.wire.log))
    }

    fn is_over(&self) -> bool {
        self.pace.is_over() && self.wire.under_way == 0
    }

    /// Tells the pace what ended, until nothing new comes of that.
    fn settle(&mut self) {
        while let Some(end) = self.wire.ended.pop_front() {
            self.pace.ended(&mut self.wire, end);
        }
        self.pace.freed(&mut self.wire);
    }

    fn expire(&mut self) {
        let now_ns = self.wire.now_ns();
        self.wire.expire(now_ns);
        self.pace.expire(&mut self.wire, now_ns);
        self.settle();
    }

    fn cancel(&mut self) {
        let now_ns = self.wire.now_ns();
        self.pace.cancel(&mut self.wire, now_ns);
        self.wire.cancel(now_ns);
        self.settle();
    }

    /// Waits for events up to the next moment at which something is to be done.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let now_ns = self.wire.now_ns();
        let due_ns = self.pace.next_ns().map(|at| at.saturating_sub(nanos(self.spin)));
        let late_ns = self.wire.late_ns().into_iter().chain(self.pace.late_ns()).min();
        let mut timeout = late_ns.map_or(ATTENTION, |at| {
            // To the millisecond, as epoll_wait counts; the timer below is for what must be exact.
            Duration::from_nanos(at.saturating_sub(now_ns)).min(ATTENTION)
        });
        match due_ns {
            _ if !self.wire.again.is_empty() => timeout = Duration::ZERO,
            Some(due_ns) if due_ns <= now_ns => timeout = Duration::ZERO,
            Some(due_ns) => self.wire.timer.arm(self.wire.clock, due_ns)?,
            None => {}
        }
        match self.wire.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            other => other,
        }
    }
}

/// The window in ns from the start of the run.
pub fn window(warm_up: Duration, duration: Duration) -> Range<u64> {
    let start = nanos(warm_up);
    start..start.saturating_add(nanos(duration))
}
