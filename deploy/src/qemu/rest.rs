//! What an OSv says of itself by its REST API, if the module `httpserver-api` is in its image: its threads and its memory.
//!
//! `GET /os/threads` answers `{"list": [{"id", "name", "cpu_ms", "switches", "preemptions", ...}], "time_ms"}`, `GET /os/memory/total` and `/os/memory/free`
//! a number of bytes (OSv, `modules/httpserver-api/api-doc/listings/os.json`, August 2026). Asking costs the guest CPU time, so it is done at READY and at
//! STOP, outside of the window.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use protocol::ids::Name;
use protocol::sample::{Counter, Counters, GuestThread, OfService, Subject};
use serde::Deserialize;
use tokio::time::timeout;

use crate::ready::http;

/// How long one guest may take for all of its figures.
const PATIENCE: Duration = Duration::from_secs(5);
/// OSv's idle threads, one for each CPU, are called `idle0` and so on: what they use is what nobody uses.
const IDLE: &str = "idle";

/// Asks guests for their own figures.
#[derive(Clone, Debug)]
pub struct GuestMeter {
    guests: Vec<(Name, SocketAddr)>,
}

/// The answer of `/os/threads`, as far as it is counted.
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

impl GuestMeter {
    pub(super) const fn new(guests: Vec<(Name, SocketAddr)>) -> Self {
        Self { guests }
    }

    /// The figures of every guest now; one that does not answer is left out, and said.
    pub async fn read(&self) -> Vec<(Subject, Counters)> {
        let mut found = Vec::new();
        for (service, at) in &self.guests {
            match timeout(PATIENCE, figures(service, *at)).await {
                Ok(Ok(figures)) => found.extend(figures),
                Ok(Err(error)) => tracing::warn!(%service, %at, %error, "the guest's REST API gives no figures"),
                Err(_) => tracing::warn!(%service, %at, "the guest's REST API does not answer"),
            }
        }
        found
    }
}

async fn figures(service: &Name, at: SocketAddr) -> io::Result<Vec<(Subject, Counters)>> {
    let threads: Threads = json(at, "/os/threads").await?;
    let total: u64 = json(at, "/os/memory/total").await?;
    let free: u64 = json(at, "/os/memory/free").await?;
    Ok(counted(service, &threads, total, free))
}

async fn json<T: for<'a> Deserialize<'a>>(at: SocketAddr, path: &str) -> io::Result<T> {
    let body = http::body(at, path).await?;
    serde_json::from_slice(&body).map_err(|error| io::Error::other(format!("{path}: {error}")))
}

/// The guest as a whole, then its threads.
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
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers as OSv does, a request after the other on connections that it keeps open.
    async fn osv(threads: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let length = stream.read(&mut request).await.unwrap();
                let path = String::from_utf8_lossy(&request[..length]);
                let (status, body) = match path.split(' ').nth(1).unwrap() {
                    "/os/threads" => (200, threads),
                    "/os/memory/total" => (200, "134000000"),
                    "/os/memory/free" => (200, "100000000"),
                    _ => (404, ""),
                };
                let head = format!(
                    "HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
                open.push(stream);
            }
        });
        at
    }

    #[tokio::test]
    async fn threads_and_memory_are_counted_without_the_idle_ones() {
        let at = osv(
            r#"{"list": [
                {"id": 12, "cpu": 0, "cpu_ms": 900, "switches": 5, "migrations": 0, "preemptions": 1, "priority": 1.0, "stack_size": 65536, "status": "queued", "name": "idle0"},
                {"id": 30, "cpu": 0, "cpu_ms": 70, "switches": 8, "migrations": 0, "preemptions": 2, "priority": 1.0, "stack_size": 65536, "status": "waiting", "name": "/workload"},
                {"id": 31, "cpu": 0, "cpu_ms": 5, "switches": 2, "migrations": 0, "preemptions": 0, "priority": 1.0, "stack_size": 65536, "status": "waiting", "name": "/workload"}
            ], "time_ms": 1795000000000}"#,
        )
        .await;
        let service: Name = "tcp".parse().unwrap();
        let figures = GuestMeter::new(vec![(service.clone(), at)]).read().await;
        assert_eq!(figures.len(), 4);
        let (of, whole) = &figures[0];
        assert_eq!(
            *of,
            Subject::Guest(OfService {
                service: service.clone()
            })
        );
        let get = |counter| whole.get(counter).unwrap();
        assert_eq!(
            [get(Counter::CpuNs), get(Counter::Switches), get(Counter::Threads)],
            [75_000_000, 10, 3]
        );
        assert_eq!(
            [get(Counter::MemoryBytes), get(Counter::FreeBytes)],
            [134_000_000, 100_000_000]
        );
        let Subject::GuestThread(thread) = &figures[2].0 else {
            panic!("{figures:?}")
        };
        assert_eq!((thread.id, thread.name.as_str()), (30, "/workload"));
        assert_eq!(figures[2].1.get(Counter::CpuNs), Some(70_000_000));
    }

    #[tokio::test]
    async fn nonsense_and_silence_leave_the_figures_out() {
        let service: Name = "tcp".parse().unwrap();
        for threads in ["", "[]", "{\"list\": [{\"id\": -1}]}"] {
            let meter = GuestMeter::new(vec![(service.clone(), osv(threads).await)]);
            assert!(meter.read().await.is_empty(), "{threads:?}");
        }
        let nobody = GuestMeter::new(vec![(service, "127.0.0.1:1".parse().unwrap())]);
        assert!(nobody.read().await.is_empty());
    }
}
