//! The event loop of one thread.

use std::io;
use std::ops::Range;
use std::time::Duration;

use mio::Events;
use protocol::load::{Usage, Wait};

use super::rest::{Moments, Rest};
use super::threads::Setup;
use super::wire::{Wire, nanos};
use super::{Carrier, Pace};
use crate::clock::Clock;
use crate::control::Control;
use crate::cpu::Schedstat;
use crate::error::LoadError;
use crate::log::LogWriter;
use crate::scheduling::{self, Scheduling};
use crate::tally::Tally;

/// Requests started in one go when several are due, so that replies do not go unread for long.
const BURST: usize = 32;

/// One thread at work.
#[derive(Debug)]
pub struct Turn<'a, P> {
    wire: Wire<'a>,
    pace: P,
    rest: Rest,
    scheduling: Scheduling,
    control: &'a Control,
}

impl<'a, P: Pace<'a>> Turn<'a, P> {
    /// A thread that is ready to run.
    pub fn new(wire: Wire<'a>, pace: P, setup: &Setup, control: &'a Control) -> Self {
        Self {
            wire,
            pace,
            rest: Rest::new(setup.wait, setup.spin),
            // A thread that never sleeps would starve all else on its CPU.
            scheduling: if setup.real_time && setup.wait == Wait::Sleep {
                Scheduling::RealTime
            } else {
                Scheduling::Normal
            },
            control,
        }
    }

    /// Runs to the end of the load.
    pub fn run(mut self, clock: Clock) -> Result<(Tally, LogWriter), LoadError> {
        self.wire.clock = clock;
        if self.scheduling == Scheduling::RealTime && !scheduling::real_time() {
            self.scheduling = Scheduling::Refused;
        }
        let before = Schedstat::of_this_thread();
        clock.wait_for_start(self.rest.awake());
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
        let spun_ns = self.rest.spun_ns();
        self.wire.tally.usage = Usage {
            scheduling: Some(self.scheduling),
            ..Schedstat::of_this_thread().since(before, clock.now_ns(), spun_ns)
        };
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
        let moments = Moments {
            now_ns: self.wire.now_ns(),
            due_ns: self.pace.next_ns(),
            late_ns: self.wire.late_ns().into_iter().chain(self.pace.late_ns()).min(),
            at_once: !self.wire.again.is_empty(),
        };
        let sleep = self.rest.until(&moments, self.wire.tally.progress.sent);
        if self.rest.is_busy() && self.scheduling == Scheduling::RealTime {
            scheduling::normal();
            self.scheduling = Scheduling::GaveUp;
        }
        if let Some(at_ns) = sleep.alarm_ns {
            self.wire.timer.arm(self.wire.clock, at_ns)?;
        }
        match self.wire.poll.poll(events, Some(sleep.at_most)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => other?,
        }
        if !sleep.at_most.is_zero() {
            self.rest.slept(self.wire.now_ns());
        }
        self.rest.woke(events.is_empty());
        Ok(())
    }
}

/// The window in ns from the start of the run.
pub fn window(warm_up: Duration, duration: Duration) -> Range<u64> {
    let start = nanos(warm_up);
    start..start.saturating_add(nanos(duration))
}
