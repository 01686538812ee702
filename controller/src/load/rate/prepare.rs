//! What a thread does before the run: binds itself to its CPU, opens its event loop and its pool.

use std::collections::VecDeque;
use std::io;
use std::net::TcpStream as StdStream;
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};

use super::Shared;
use super::connection::Connection;
use super::table::Table;
use super::worker::Worker;
use crate::load::clock::{Clock, Timer};
use crate::load::cpu;
use crate::load::error::LoadError;
use crate::load::plan::Connections;
use crate::load::schedule::Schedule;
use crate::load::tally::Tally;

const TIMER: Token = Token(usize::MAX);
/// Size of the buffer that replies are read into, one a thread.
const BUFFER: usize = 64 * 1024;

impl<'a> Worker<'a> {
    /// Pins the thread, opens its event loop and its pool of connections.
    pub(super) fn prepare(thread: usize, shared: &'a Shared<'a>) -> Result<Self, LoadError> {
        let plan = shared.plan;
        if let Some(cpu) = plan.cpus.get(thread) {
            cpu::pin(*cpu)?;
        }
        let (poll, timer) = poll_and_timer().map_err(|source| LoadError::System {
            what: "open an event loop",
            source,
        })?;
        let schedule = Schedule::new(plan);
        let expected = usize::try_from(schedule.expected()).unwrap_or(usize::MAX) / plan.threads();
        let mut schedule = schedule.skip(thread).step_by(plan.threads());
        let mut worker = Self {
            shared,
            thread,
            poll,
            timer,
            clock: Clock::from_origin(0),
            table: Table::new(share(plan.most_connections(), thread, plan.threads()).max(1)),
            next: schedule.next(),
            schedule,
            waiting: VecDeque::with_capacity(1024),
            deadlines: VecDeque::with_capacity(1024),
            closing: VecDeque::with_capacity(1024),
            again: Vec::with_capacity(64),
            under_way: 0,
            timeout_ns: nanos(plan.timeout),
            spin_ns: nanos(plan.spin),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            // Poisson arrivals may be some more than expected.
            tally: Tally::new(shared.window.clone(), expected + expected / 16 + 64),
        };
        if let Connections::KeepAlive { pool, .. } = plan.connections {
            worker.fill_pool(share(pool.into(), thread, plan.threads()));
        }
        Ok(worker)
    }

    /// Opens connections before the run. One that fails is left to the first request that needs it.
    fn fill_pool(&mut self, connections: usize) {
        for _ in 0..connections {
            let timeout = self.shared.plan.timeout.min(Duration::from_secs(5));
            let Ok(stream) = StdStream::connect_timeout(&self.shared.target.address, timeout) else {
                return;
            };
            if stream.set_nonblocking(true).is_err() {
                return;
            }
            let (token, number) = self.table.reserve();
            let mut connection = Connection::idle(TcpStream::from_std(stream), number, self.shared.target.expect);
            if self.watch(&mut connection, token).is_ok() {
                self.table.insert(connection);
                self.table.release(token);
            }
        }
    }
}

fn poll_and_timer() -> io::Result<(Poll, Timer)> {
    let (poll, timer) = (Poll::new()?, Timer::new()?);
    poll.registry()
        .register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
    Ok((poll, timer))
}

/// The part of a whole that falls to one of several threads.
fn share(whole: u64, thread: usize, threads: usize) -> usize {
    let (whole, more) = (
        usize::try_from(whole).unwrap_or(usize::MAX),
        usize::from(thread < usize::try_from(whole).unwrap_or(usize::MAX) % threads),
    );
    whole / threads + more
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
