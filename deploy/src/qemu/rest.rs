//! Reads an OSv guest's threads and memory from its REST API, if the image contains the module `httpserver-api`.
//!
//! `GET /os/threads` returns `{"list": [{"id", "name", "cpu_ms", "switches", "preemptions", ...}], "time_ms"}`; `GET /os/memory/total` and
//! `/os/memory/free` return a number of bytes (OSv, `modules/httpserver-api/api-doc/listings/os.json`, August 2026; `osv_api/threads.json` is such a
//! reply). A request costs the guest CPU time, so the figures are read at READY and at STOP, outside the measurement window.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use protocol::ids::Name;
use protocol::sample::{Counter, Counters, GuestThread, OfService, Subject};
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use crate::ready::http;

/// How long a guest may take for all of its figures.
const PATIENCE: Duration = Duration::from_secs(10);
/// Interval between retries: OSv starts the API beside the service, and it may come up later.
const PAUSE: Duration = Duration::from_millis(100);
/// OSv's idle threads, one per CPU, are called `idle0` and so on; their CPU time is idle time.
const IDLE: &str = "idle";

/// Reads the figures of OSv guests.
#[derive(Clone, Debug)]
pub struct GuestMeter {
    guests: Vec<(Name, SocketAddr)>,
    /// How long a guest may take for all of its figures.
    patience: Duration,
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
    Unanswered(#[from] io::Error),
    /// A malformed reply.
    #[error("{0}")]
    Nonsense(#[from] serde_json::Error),
}

impl GuestMeter {
    pub(super) const fn new(guests: Vec<(Name, SocketAddr)>) -> Self {
        Self {
            guests,
            patience: PATIENCE,
        }
    }

    /// The current figures of every guest. A guest that does not reply is left out and logged.
    pub async fn read(&self) -> Vec<(Subject, Counters)> {
        let asked = self.guests.iter().map(|(service, at)| async move {
            let answer = answer(service, *at, self.patience).await;
            answer.inspect_err(|error| tracing::warn!(%service, %at, %error, "cannot read the guest's REST API"))
        });
        join_all(asked).await.into_iter().flatten().flatten().collect()
    }
}

/// Retries until there is a reply or time is up; then returns the last failure.
async fn answer(service: &Name, at: SocketAddr, patience: Duration) -> Result<Vec<(Subject, Counters)>, Failure> {
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    let asked = timeout(patience, async {
        loop {
            match figures(service, at).await {
                Err(Failure::Unanswered(error)) => last = error,
                answer => return answer,
            }
            sleep(PAUSE).await;
        }
    });
    asked.await.unwrap_or(Err(Failure::Unanswered(last)))
}

async fn figures(service: &Name, at: SocketAddr) -> Result<Vec<(Subject, Counters)>, Failure> {
    let threads: Threads = json(at, "/os/threads").await?;
    let total: u64 = json(at, "/os/memory/total").await?;
    let free: u64 = json(at, "/os/memory/free").await?;
    Ok(counted(service, &threads, total, free))
}

async fn json<T: for<'a> Deserialize<'a>>(at: SocketAddr, path: &str) -> Result<T, Failure> {
    Ok(serde_json::from_slice(&http::body(at, path).await?)?)
}

/// The figures of the guest as a whole, then those of its threads.
fn counted(service: &Name, threads: &Threads, total: u64, free: u64) -> Vec<(Subject, Counters)> {
    let works = |thread: &&Thread| !thread.name.starts_with(IDLE);
    let sum = |of: fn(&Thread) -> u64| threads.list.iter().filter(works).map(of).fold(0, u64::saturating_add);
    let whole = Counters::from_iter([
        (Counter::CpuNs, sum(|thread| thread.cpu_ms).saturating_mul(1_000_000)),
        (Counter::Switches, sum(|thread| thread.switches)),
        (Counter::InvoluntarySwitches, sum(|thread| thread.preemptions)),
        (Counter::Threads, threads.list.len() as u64),
        (Counter::MemoryBytes, total),
        (Counter::FreeBytes, free),
    ]);
    let service = service.clone();
    let of = OfService {
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
