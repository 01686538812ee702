//! The event loop of one thread.

use std::io;
use std::ops::Range;
use std::time::Duration;

use mio::Events;
use protocol::load::{Usage, Wait};

use super::pacer::{Pacer, Transport};
use super::poll_wait::{PollWait, Wakeups};
use super::threads::Setup;
use super::transport::HttpTransport;
use crate::clock::{Clock, nanos};
use crate::control::Control;
use crate::cpu::{self, Schedstat, Scheduling};
use crate::error::LoadError;
use crate::log::LogWriter;
use crate::tally::Tally;

/// Maximum number of due requests started at once, so that replies are read in time.
const BURST: usize = 32;

/// The event loop of one thread.
#[derive(Debug)]
pub struct EventLoop<'a, P> {
    transport: HttpTransport<'a>,
    pacer: P,
    poll_wait: PollWait,
    scheduling: Scheduling,
    templates: bool,
    control: &'a Control,
}

impl<'a, P: Pacer<'a>> EventLoop<'a, P> {
    /// A prepared event loop.
    pub fn new(transport: HttpTransport<'a>, pacer: P, setup: &Setup, control: &'a Control) -> Self {
        Self {
            transport,
            pacer,
            poll_wait: PollWait::new(setup.wait, setup.spin),
            // A busy-polling real-time thread would starve everything else on its CPU.
            scheduling: if setup.real_time && setup.wait == Wait::Sleep {
                Scheduling::RealTime
            } else {
                Scheduling::Normal
            },
            templates: setup.templates,
            control,
        }
    }

    /// Runs to the end of the load.
    pub fn run(mut self, clock: Clock) -> Result<(Tally, LogWriter), LoadError> {
        self.transport.clock = clock;
        if self.scheduling == Scheduling::RealTime && !cpu::set_real_time() {
            self.scheduling = Scheduling::Refused;
        }
        let before = Schedstat::of_this_thread();
        clock.wait_for_start(self.poll_wait.spin_before_start());
        let progress = self.control.thread(usize::from(self.transport.thread));
        let mut events = Events::with_capacity(1024);
        while !self.is_done() {
            self.pacer.start_due(&mut self.transport, BURST);
            self.expire();
            progress.publish(self.transport.tally.progress);
            if self.is_done() {
                break;
            }
            if self.templates
                && let Some(due) = self.pacer.upcoming()
            {
                self.transport.prepare(due);
            }
            self.wait(&mut events).map_err(|source| LoadError::System {
                what: "wait for events",
                source,
            })?;
            for event in &events {
                self.transport.on_event(event);
                self.notify_pacer();
                self.pacer.start_due(&mut self.transport, 1);
            }
            if !self.transport.again.is_empty() {
                self.transport.resume();
                self.notify_pacer();
            }
            if self.control.is_cancelled() {
                self.cancel();
            }
        }
        let spun_ns = self.poll_wait.spun_ns();
        self.transport.tally.usage = Usage {
            scheduling: Some(self.scheduling),
            ..Schedstat::of_this_thread().since(before, clock.now_ns(), spun_ns)
        };
        progress.publish(self.transport.tally.progress);
        Ok((self.transport.tally, self.transport.log))
    }

    fn is_done(&self) -> bool {
        self.pacer.is_done() && self.transport.outstanding == 0
    }

    /// Tells the pacer which requests have ended, including those that end as a consequence.
    fn notify_pacer(&mut self) {
        while let Some(end) = self.transport.ended.pop_front() {
            self.pacer.ended(&mut self.transport, end);
        }
        self.pacer.freed(&mut self.transport);
    }

    fn expire(&mut self) {
        let now_ns = self.transport.now_ns();
        self.transport.expire(now_ns);
        self.pacer.expire(&mut self.transport, now_ns);
        self.notify_pacer();
    }

    fn cancel(&mut self) {
        let now_ns = self.transport.now_ns();
        self.pacer.cancel(&mut self.transport, now_ns);
        self.transport.cancel(now_ns);
        self.notify_pacer();
    }

    /// Waits for events until the next wake-up time.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let wakeups = Wakeups {
            now_ns: self.transport.now_ns(),
            due_ns: self.pacer.next_ns(),
            expiry_ns: self
                .transport
                .next_expiry_ns()
                .into_iter()
                .chain(self.pacer.next_expiry_ns())
                .min(),
            immediate: !self.transport.again.is_empty(),
        };
        let timeout = self.poll_wait.timeout(&wakeups, self.transport.tally.progress.sent);
        if self.poll_wait.is_busy() && self.scheduling == Scheduling::RealTime {
            cpu::set_normal();
            self.scheduling = Scheduling::GaveUp;
        }
        if let Some(at_ns) = timeout.alarm_ns {
            self.transport.timer.arm(self.transport.clock, at_ns)?;
        }
        match self.transport.poll.poll(events, Some(timeout.at_most)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => other?,
        }
        if !timeout.at_most.is_zero() {
            self.poll_wait.slept(self.transport.now_ns());
        }
        self.poll_wait.polled(events.is_empty());
        Ok(())
    }
}

/// The measurement window, ns from the start of the run.
pub fn window(warm_up: Duration, duration: Duration) -> Range<u64> {
    let start = nanos(warm_up);
    start..start.saturating_add(nanos(duration))
}
