//! Reads an OSv guest's threads and memory from its REST API, if the image contains the module `httpserver-api`.
//!
//! `GET /os/threads` returns `{"list": [{"id", "name", "cpu_ms", "switches", "preemptions", ...}], "time_ms"}`; `GET /os/memory/total` and
//! `/os/memory/free` return a number of bytes (OSv, `modules/httpserver-api/api-doc/listings/os.json`, August 2026; `osv_api/threads.json` is such a
//! reply). A request costs the guest CPU time, so the figures are read at READY and at STOP, outside the measurement window.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use protocol::ids::Name;
use protocol::sample::{Counter, Counters, GuestThread, ServiceRef, Subject};
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use crate::deployment::MeterSource;
use crate::ready::http;

/// How long a guest may take for all of its figures.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Interval between retries: OSv starts the API beside the service, and it may come up later.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// OSv's idle threads, one per CPU, are called `idle0` and so on; their CPU time is idle time.
const IDLE: &str = "idle";

/// Reads the figures of OSv guests.
#[derive(Clone, Debug)]
pub(super) struct GuestMeter {
    guests: Vec<(Name, SocketAddr)>,
    /// How long a guest may take for all of its figures.
    time_limit: Duration,
}

/// The relevant part of the reply of `/os/threads`.
#[derive(Debug, Deserialize)]
struct Threads {
    list: Vec<Thread>,
}

#[derive(Debug, Deserialize)]
struct Thread {
    id: u32,
    #[serde(default)]
    name: String,
    cpu_ms: u64,
    #[serde(default)]
    switches: u64,
    #[serde(default)]
    preemptions: u64,
}

/// Why a guest has no figures.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// No reply, or an unsuccessful one.
    #[error("{0}")]
    NoReply(#[from] io::Error),
    /// A malformed reply.
    #[error("{0}")]
    Malformed(#[from] serde_json::Error),
}

impl GuestMeter {
    pub(super) const fn new(guests: Vec<(Name, SocketAddr)>) -> Self {
        Self {
            guests,
            time_limit: TIMEOUT,
        }
    }
}

impl MeterSource for GuestMeter {
    /// The current figures of every guest. A guest that does not reply is left out and logged.
    fn read(&self) -> BoxFuture<'_, Vec<(Subject, Counters)>> {
        Box::pin(async move {
            let reading = self.guests.iter().map(|(service, at)| async move {
                let figures = read_with_retries(service, *at, self.time_limit).await;
                figures.inspect_err(|error| tracing::warn!(%service, %at, %error, "cannot read the guest's REST API"))
            });
            join_all(reading).await.into_iter().flatten().flatten().collect()
        })
    }
}

/// Retries until there is a reply or time is up; then returns the last failure.
async fn read_with_retries(
    service: &Name,
    at: SocketAddr,
    time_limit: Duration,
) -> Result<Vec<(Subject, Counters)>, Failure> {
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    let reading = timeout(time_limit, async {
        loop {
            match read_figures(service, at).await {
                Err(Failure::NoReply(error)) => last = error,
                outcome => return outcome,
            }
            sleep(RETRY_INTERVAL).await;
        }
    });
    reading.await.unwrap_or(Err(Failure::NoReply(last)))
}

async fn read_figures(service: &Name, at: SocketAddr) -> Result<Vec<(Subject, Counters)>, Failure> {
    let threads: Threads = json(at, "/os/threads").await?;
    let total: u64 = json(at, "/os/memory/total").await?;
    let free: u64 = json(at, "/os/memory/free").await?;
    Ok(to_counters(service, &threads, total, free))
}

async fn json<T: for<'a> Deserialize<'a>>(at: SocketAddr, path: &str) -> Result<T, Failure> {
    Ok(serde_json::from_slice(&http::body(at, path).await?)?)
}

/// The figures of the guest as a whole, then those of its threads.
fn to_counters(service: &Name, threads: &Threads, total: u64, free: u64) -> Vec<(Subject, Counters)> {
    let is_busy = |thread: &&Thread| !thread.name.starts_with(IDLE);
    let sum = |of: fn(&Thread) -> u64| threads.list.iter().filter(is_busy).map(of).fold(0, u64::saturating_add);
    let whole = Counters::from_iter([
        (Counter::CpuNs, sum(|thread| thread.cpu_ms).saturating_mul(1_000_000)),
        (Counter::Switches, sum(|thread| thread.switches)),
        (Counter::InvoluntarySwitches, sum(|thread| thread.preemptions)),
        (Counter::Threads, threads.list.len() as u64),
        (Counter::MemoryBytes, total),
        (Counter::FreeBytes, free),
    ]);
    let service = service.clone();
    let of = ServiceRef {
        service: service.clone(),
    };
    let one = |thread: &Thread| {
        let counters = Counters::from_iter([
            (Counter::CpuNs, thread.cpu_ms.saturating_mul(1_000_000)),
            (Counter::Switches, thread.switches),
            (Counter::InvoluntarySwitches, thread.preemptions),
        ]);
        let of = GuestThread {
            service: service.clone(),
            id: thread.id,
            name: thread.name.clone(),
        };
        (Subject::GuestThread(of), counters)
    };
    let mut all = vec![(Subject::Guest(of), whole)];
    all.extend(threads.list.iter().map(one));
    all
}

#[cfg(test)]
mod tests;
