//! The engine `udp`: a stream of numbered packets and their replies (Czipri 2016, chapters 3 and 4).
//!
//! The reply to a packet contains the packet's number, so that late, duplicate and lost replies are counted exactly.
//!
//! * [`plan`] — the plan of a load;
//! * [`packet`] — encoding of packets; [`packet_log`] — the state of every packet, pure;
//! * [`socket`] — batched system calls, and packets dropped by the kernel;
//! * [`flow`] — one thread with one socket, and its pacing; [`stream`] — a stream over all flows;
//! * [`counters`] — counters of the service and of this host; [`search`] — the search for the fastest lossless pace, pure.
//!
//! A run consists of a warm-up stream, the measured stream and the streams of the search, one after the other. The window of the outcome is from the first
//! packet of the measured stream to its last reply. Apart from system calls, the packet path only stores a few values: requests, histograms and the log
//! are derived from the packet log afterwards.
//!
//! # Packet timestamps
//! *intended*: by the pace; if the window of outstanding packets was full, when a slot became free. *sent*: just before the system call that sent it,
//! possibly with others. *done*: after the system call that received its reply, possibly with others; or the end of its time-out.

mod counters;
mod flow;
mod packet;
mod packet_log;
mod plan;
mod search;
mod socket;
mod stream;

use std::net::SocketAddr;
use std::time::Duration;

pub use plan::{UdpPlan, UdpReply};
pub use protocol::load::{SearchLimit, SearchStats, SearchStep, ServiceCounters, StreamStats, UdpStats};

use super::Engine;
use super::call::Label;
use super::clock::{Clock, nanos};
use super::control::Control;
use super::error::LoadError;
use super::log::Spill;
use super::outcome::{Origin, Outcome};
use super::part::Part;
use super::tally::Tally;
use flow::Flow;
use packet_log::{Bytes, record_all};
use search::PaceSearch;
use stream::{StreamResult, StreamSpec};

/// Time from the creation of a stream to its first packet, so that its threads are running by then.
const HEAD_START_NS: u64 = 2_000_000;

/// Start times of the streams on several machines, ns from their common start; all 0 for a single machine, which runs them without gaps.
///
/// All machines are idle between the warm-up and the measured stream, so that they read the same counters of the service.
#[derive(Debug, Clone, Copy, Default)]
struct Times {
    warm_up_ns: u64,
    idle_ns: u64,
    measured_ns: u64,
}

impl Times {
    fn of(plan: &UdpPlan, warms_up: bool) -> Self {
        if plan.part == Part::WHOLE {
            return Self::default();
        }
        let timeout = if warms_up { plan.timeout } else { Duration::ZERO };
        let idle_ns = HEAD_START_NS + nanos(plan.warm_up + timeout);
        Self {
            warm_up_ns: HEAD_START_NS,
            idle_ns,
            measured_ns: idle_ns + nanos(counters::MAX_QUERY_TIME),
        }
    }
}

/// Sleeps until a time of the run, or until the load is cancelled.
fn wait_until(clock: Clock, at_ns: u64, control: &Control) {
    while !control.is_cancelled() {
        let left = at_ns.saturating_sub(clock.now_ns());
        if left == 0 {
            return;
        }
        std::thread::sleep(Duration::from_nanos(left).min(POLL_INTERVAL));
    }
}

/// Interval at which cancellation is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The engine `udp`.
#[derive(Debug, Clone)]
pub struct Udp {
    plan: UdpPlan,
    address: SocketAddr,
}

impl Udp {
    /// Checks the plan and builds the engine.
    ///
    /// # Errors
    /// Problems of the plan.
    pub fn new(plan: UdpPlan, address: SocketAddr) -> Result<Self, LoadError> {
        plan.check()?;
        Ok(Self { plan, address })
    }

    /// The measured stream of all machines together.
    fn stream(&self) -> StreamSpec {
        StreamSpec {
            packets: self.plan.packets,
            pace_ns: nanos(self.plan.pace),
            window: self.plan.window.map(u64::from),
            timeout_ns: nanos(self.plan.timeout),
            start_ns: 0,
            tag: rand::random(),
        }
    }

    /// The warm-up stream: as many packets as are due in its time, at least one.
    fn warm_up(&self, stream: &StreamSpec) -> Option<StreamSpec> {
        let time = nanos(self.plan.warm_up);
        let packets = match stream.pace_ns {
            // Without a pace the number of packets is unknown: a tenth of the load.
            0 => stream.packets / 10,
            pace => time / pace,
        };
        (time > 0).then(|| StreamSpec {
            packets: packets.clamp(1, stream.packets),
            tag: stream.tag.wrapping_add(1),
            ..*stream
        })
    }

    /// Searches the fastest lossless pace with open-loop streams of the same size, within the time budget.
    fn search(
        &self,
        flows: &mut [Flow],
        clock: Clock,
        mut stream: StreamSpec,
        control: &Control,
    ) -> Result<Option<SearchStats>, LoadError> {
        let Some(budget) = self.plan.search else {
            return Ok(None);
        };
        let until = clock.now_ns().saturating_add(nanos(budget));
        let mut search = PaceSearch::new(stream.pace_ns);
        stream.window = None;
        stream.tag = stream.tag.wrapping_add(2);
        while let Some(pace_ns) = search.next_pace() {
            let longest = stream.packets.saturating_mul(pace_ns).saturating_add(stream.timeout_ns);
            if clock.now_ns().saturating_add(longest) > until || control.is_cancelled() {
                break;
            }
            stream.tag = stream.tag.wrapping_add(1);
            stream.pace_ns = pace_ns;
            stream.start_ns = clock.now_ns() + HEAD_START_NS;
            let result = stream::run(flows, clock, &stream, control)?;
            search.record(result.step(pace_ns));
        }
        Ok(Some(search.stats()))
    }
}

impl Engine for Udp {
    fn run(&self, control: &Control) -> Result<Outcome, LoadError> {
        let plan = &self.plan;
        let mut flows = (0..plan.threads())
            .map(|thread| Flow::open(thread, plan, self.address))
            .collect::<Result<Vec<_>, _>>()?;
        let origin = control.origin(Duration::ZERO);
        let clock = Clock::from_origin(origin.monotonic_ns);
        let (stream, warm_up) = (self.stream(), self.warm_up(&self.stream()));
        let times = Times::of(plan, warm_up.is_some());
        let own = |stream: StreamSpec, earliest_ns: u64| {
            let start_ns = earliest_ns.max(clock.now_ns() + HEAD_START_NS);
            StreamSpec { start_ns, ..stream }.part(plan.part)
        };
        let warm_up = warm_up
            .map(|stream| stream::run(&mut flows, clock, &own(stream, times.warm_up_ns), control))
            .transpose()?;
        wait_until(clock, times.idle_ns, control);
        let before = counters::query_service(self.address);
        let host = counters::read_host();
        let measured = stream::run(&mut flows, clock, &own(stream, times.measured_ns), control)?;
        let after = counters::query_service(self.address);
        let stats = UdpStats {
            stream: measured.stats(),
            receive_buffer: flows.first().map_or(0, Flow::receive_buffer),
            host: host.and_then(|host| Some(counters::read_host()?.since(host))),
            service: before.zip(after).map(|(before, after)| after.since(&before)),
            search: self.search(&mut flows, clock, stream, control)?,
        };
        self.outcome(origin, warm_up.as_ref(), &measured, stats, control)
    }
}

impl Udp {
    fn outcome(
        &self,
        origin: Origin,
        warm_up: Option<&StreamResult>,
        measured: &StreamResult,
        stats: UdpStats,
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
                record_all(&warm_up.logs[thread], (thread, bytes), true, &mut own, log);
            }
            record_all(&measured.logs[thread], (thread, bytes), false, &mut own, log);
            own.usage = measured.usage[thread];
            tally.add(own);
        }
        Ok(Outcome {
            labels: vec![Label::unnamed(format!("udp://{}", self.address))],
            threads: self.plan.threads(),
            cancelled: control.is_cancelled(),
            udp: Some(stats),
            ..Outcome::of(tally, origin, spill.finish(logs)?)
        })
    }
}
