//! The engine `udp`: a stream of numbered packets and their replies (Czipri 2016, chapters 3 and 4).
//!
//! Every packet bears a number that its reply bears, too, so that nothing is guessed: a packet is answered in time, late, twice, or never.
//!
//! * [`plan`] — what is ordered; [`pace`] — when the next packet is due, pure;
//! * [`packet`] — numbers and bytes; [`book`] — what became of each packet, pure;
//! * [`socket`] — many packets in one system call, and what the kernel dropped here;
//! * [`flow`] — one thread with one socket; [`stream`] — all of them, from the first packet to the last reply;
//! * [`service`] — what the service counted; [`search`] — the fastest pace without loss, pure;
//! * [`protocol::load::UdpFigures`] — what comes of it: loaders send it over the wire.
//!
//! A run is a warm-up stream, whose replies are waited for, then the measured stream, then those of the search. The window of the outcome
//! begins with the first packet of the measured stream and ends with its last reply. Beside the calls of the kernel nothing but a few stores
//! lies on the way of a packet: requests, histograms and the log are made of the book afterwards.
//!
//! # What the times of a packet mean
//! *intended*: its place in the pace, or, where a window of packets under way was full, when one came back. *sent*: just before the system
//! call that took it, perhaps with others. *done*: when the call that brought its reply, perhaps with others, had returned; or the end of its
//! time-out.

mod book;
mod flow;
mod pace;
mod packet;
mod plan;
mod requests;
mod search;
mod service;
mod socket;
mod stream;

use std::net::SocketAddr;

pub use plan::{UdpPlan, UdpReply};
pub use protocol::load::{SearchFigures, SearchLimit, SearchStep, ServiceCounters, StreamFigures, UdpFigures};

use super::Engine;
use super::call::Label;
use super::clock::Clock;
use super::control::Control;
use super::error::LoadError;
use super::log::Spill;
use super::outcome::{Origin, Outcome};
use super::part::Part;
use super::tally::Tally;
use flow::Flow;
use requests::{Bytes, gather};
use search::Search;
use stream::{Order, Streamed};

/// Packets of a stream under a pace that are due before its threads can run.
const HEAD_START_NS: u64 = 2_000_000;

/// When the streams of several machines begin, ns from their common start; all 0 for one machine, which begins one after the other.
///
/// Between the last reply to a packet of the warm-up and the measured stream all are quiet, so that each learns the same of the service.
#[derive(Debug, Clone, Copy, Default)]
struct Times {
    warm_up_ns: u64,
    quiet_ns: u64,
    measured_ns: u64,
}

impl Times {
    fn of(plan: &UdpPlan, warms_up: bool) -> Self {
        if plan.part == Part::WHOLE {
            return Self::default();
        }
        let timeout = if warms_up {
            plan.timeout
        } else {
            std::time::Duration::ZERO
        };
        let quiet_ns = HEAD_START_NS + nanos(plan.warm_up + timeout);
        Self {
            warm_up_ns: HEAD_START_NS,
            quiet_ns,
            measured_ns: quiet_ns + nanos(service::LONGEST),
        }
    }
}

/// Sleeps up to a time of the run, or until it is cancelled.
fn wait_until(clock: Clock, at_ns: u64, control: &Control) {
    while !control.is_cancelled() {
        let left = at_ns.saturating_sub(clock.now_ns());
        if left == 0 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_nanos(left).min(LOOK_EVERY));
    }
}

/// How often it is looked whether the load is cancelled.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(20);

/// The engine `udp`.
#[derive(Debug, Clone)]
pub struct Udp {
    plan: UdpPlan,
    address: SocketAddr,
}

impl Udp {
    /// An engine for a plan that makes sense.
    ///
    /// # Errors
    /// What is wrong with the plan.
    pub fn new(plan: UdpPlan, address: SocketAddr) -> Result<Self, LoadError> {
        plan.check()?;
        Ok(Self { plan, address })
    }

    /// The streams' common order, of all machines together.
    fn order(&self) -> Order {
        Order {
            packets: self.plan.packets,
            pace_ns: nanos(self.plan.pace),
            window: self.plan.window.map(u64::from),
            timeout_ns: nanos(self.plan.timeout),
            start_ns: 0,
            tag: rand::random(),
        }
    }

    /// The warm-up: as many packets as are due in its time, one at least.
    fn warm_up(&self, order: &Order) -> Option<Order> {
        let time = nanos(self.plan.warm_up);
        let packets = match order.pace_ns {
            // Without a pace nobody knows how many fit: a tenth of the load.
            0 => order.packets / 10,
            pace => time / pace,
        };
        (time > 0).then(|| Order {
            packets: packets.clamp(1, order.packets),
            tag: order.tag.wrapping_add(1),
            ..*order
        })
    }

    /// Looks for the fastest pace without loss: open-loop streams of as many packets, until the budget is used up.
    fn search(
        &self,
        flows: &mut [Flow],
        clock: Clock,
        mut order: Order,
        control: &Control,
    ) -> Result<Option<SearchFigures>, LoadError> {
        let Some(budget) = self.plan.search else {
            return Ok(None);
        };
        let until = clock.now_ns().saturating_add(nanos(budget));
        let mut search = Search::new(order.pace_ns);
        order.window = None;
        order.tag = order.tag.wrapping_add(2);
        while let Some(pace_ns) = search.next_pace() {
            let longest = order.packets.saturating_mul(pace_ns).saturating_add(order.timeout_ns);
            if clock.now_ns().saturating_add(longest) > until || control.is_cancelled() {
                break;
            }
            order.tag = order.tag.wrapping_add(1);
            order.pace_ns = pace_ns;
            order.start_ns = clock.now_ns() + HEAD_START_NS;
            let streamed = stream::run(flows, clock, &order, control)?;
            search.tried(streamed.step(pace_ns));
        }
        Ok(Some(search.figures()))
    }
}

impl Engine for Udp {
    fn run(&self, control: &Control) -> Result<Outcome, LoadError> {
        let plan = &self.plan;
        let mut flows = (0..plan.threads())
            .map(|thread| Flow::open(thread, plan, self.address))
            .collect::<Result<Vec<_>, _>>()?;
        let origin = control.origin(std::time::Duration::ZERO);
        let clock = Clock::from_origin(origin.monotonic_ns);
        let (order, warm_up) = (self.order(), self.warm_up(&self.order()));
        let times = Times::of(plan, warm_up.is_some());
        let own = |order: Order, earliest_ns: u64| {
            let start_ns = earliest_ns.max(clock.now_ns() + HEAD_START_NS);
            Order { start_ns, ..order }.part(plan.part)
        };
        let warm_up = warm_up
            .map(|order| stream::run(&mut flows, clock, &own(order, times.warm_up_ns), control))
            .transpose()?;
        wait_until(clock, times.quiet_ns, control);
        let before = service::ask(self.address);
        let host = service::of_host();
        let measured = stream::run(&mut flows, clock, &own(order, times.measured_ns), control)?;
        let after = service::ask(self.address);
        let figures = UdpFigures {
            stream: measured.figures(),
            receive_buffer: flows.first().map_or(0, Flow::receive_buffer),
            host: host.and_then(|host| Some(service::of_host()?.since(host))),
            service: before.zip(after).map(|(before, after)| after.since(&before)),
            search: self.search(&mut flows, clock, order, control)?,
        };
        self.outcome(origin, warm_up.as_ref(), &measured, figures, control)
    }
}

impl Udp {
    fn outcome(
        &self,
        origin: Origin,
        warm_up: Option<&Streamed>,
        measured: &Streamed,
        figures: UdpFigures,
        control: &Control,
    ) -> Result<Outcome, LoadError> {
        let (spill, mut logs) = Spill::start(control.scratch(), self.plan.threads())?;
        let bytes = Bytes {
            out: self.plan.size,
            back: self.plan.reply.bytes(self.plan.size),
        };
        let mut tally = Tally::new(measured.start_ns..u64::MAX);
        for (thread, log) in logs.iter_mut().enumerate() {
            let mut own = Tally::new(measured.start_ns..u64::MAX);
            if let Some(warm_up) = warm_up {
                gather(&warm_up.books[thread], (thread, bytes), true, &mut own, log);
            }
            gather(&measured.books[thread], (thread, bytes), false, &mut own, log);
            own.usage = measured.usage[thread];
            tally.add(own);
        }
        Ok(Outcome {
            labels: vec![Label {
                name: String::new(),
                url: format!("udp://{}", self.address),
            }],
            threads: self.plan.threads(),
            cancelled: control.is_cancelled(),
            udp: Some(figures),
            ..Outcome::of(tally, origin, spill.finish(logs)?)
        })
    }
}

fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
