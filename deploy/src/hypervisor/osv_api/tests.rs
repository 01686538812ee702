use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A reply of OSv's module `httpserver-api` in a guest with the service `tcp` (OSv of August 2026, QEMU 7.2, emulated, `-m 256`).
const RECORDED: &str = include_str!("threads.json");
const TOTAL: &str = "260993024";
const FREE: &str = "239812608";

/// A server that replies as OSv does, after it has dropped the first `dropped` connections.
async fn osv(threads: &'static str, mut dropped: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if dropped > 0 {
                dropped -= 1;
                continue;
            }
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            let path = String::from_utf8_lossy(&request[..length]);
            let (status, body) = match path.split(' ').nth(1).unwrap() {
                "/os/threads" => (200, threads),
                "/os/memory/total" => (200, TOTAL),
                "/os/memory/free" => (200, FREE),
                _ => (404, ""),
            };
            let head = format!(
                "HTTP/1.0 {status} OK\r\nContent-Length: {}\r\nContent-Type: application/json\r\n\r\n",
                body.len()
            );
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            open.push(stream);
        }
    });
    at
}

fn tcp() -> Name {
    "tcp".parse().unwrap()
}

#[tokio::test]
async fn threads_and_memory_are_counted_without_idle_threads() {
    let at = osv(RECORDED, 0).await;
    let figures = GuestMeter::new(vec![(tcp(), at)]).read().await;
    assert_eq!(figures.len(), 27);
    let (of, whole) = &figures[0];
    assert_eq!(*of, Subject::Guest(ServiceRef { service: tcp() }));
    let get = |counter| whole.get(counter).unwrap();
    // Summed by hand over all threads but `idle0`.
    assert_eq!(
        [
            get(Counter::CpuNs),
            get(Counter::Switches),
            get(Counter::InvoluntarySwitches),
            get(Counter::Threads)
        ],
        [558_000_000, 634, 217, 26]
    );
    assert_eq!(
        [get(Counter::MemoryBytes), get(Counter::FreeBytes)],
        [260_993_024, 239_812_608]
    );
    let Subject::GuestThread(thread) = &figures[1].0 else {
        panic!("{figures:?}")
    };
    assert_eq!((thread.id, thread.name.as_str()), (26, "/workload"));
    assert_eq!(figures[1].1.get(Counter::CpuNs), Some(117_000_000));
}

#[tokio::test]
async fn an_api_that_comes_up_late_is_retried() {
    let at = osv(RECORDED, 3).await;
    assert_eq!(GuestMeter::new(vec![(tcp(), at)]).read().await.len(), 27);
}

#[tokio::test]
async fn a_guest_without_a_valid_reply_is_left_out() {
    let nobody = "127.0.0.1:1".parse().unwrap();
    let mut guests = vec![(tcp(), nobody)];
    for threads in ["", "[]", "{\"list\": [{\"id\": -1}]}"] {
        guests.push((tcp(), osv(threads, 0).await));
    }
    guests.push((tcp(), osv(RECORDED, 0).await));
    let time_limit = Duration::from_secs(3);
    assert_eq!(GuestMeter { guests, time_limit }.read().await.len(), 27);
}
