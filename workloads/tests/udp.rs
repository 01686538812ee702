//! The binary `workload udp` over real sockets.

#![expect(clippy::unwrap_used, reason = "test code may panic")]

mod service;

use std::collections::HashMap;
use std::net::UdpSocket;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use service::{Service, TIMEOUT};

impl Service {
    fn start(options: &[&str]) -> Self {
        Self::start_workload("udp", options)
    }

    fn client(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(self.address).unwrap();
        socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        socket
    }

    /// Sends a packet and returns the reply.
    fn request(&self, packet: &[u8]) -> Vec<u8> {
        let client = self.client();
        client.send(packet).unwrap();
        receive(&client)
    }

    fn counters(&self) -> HashMap<String, u64> {
        let reply = self.request(b"STAT\0\x01\x02\x03\x04\x05\x06\x07rest");
        let text = reply.strip_prefix(b"STAT\0\x01\x02\x03\x04\x05\x06\x07").unwrap();
        let lines = std::str::from_utf8(text).unwrap().lines();
        lines
            .map(|line| {
                let (name, value) = line.split_once(' ').unwrap();
                (name.to_owned(), value.parse().unwrap())
            })
            .collect()
    }

    /// Waits until `packets` packets were read or dropped.
    fn counters_after(&self, packets: u64) -> HashMap<String, u64> {
        let start = Instant::now();
        loop {
            let counters = self.counters();
            if counters["received"] + counters["dropped"] >= packets || start.elapsed() > TIMEOUT {
                return counters;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn receive(client: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 65_536];
    let length = client.recv(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

/// Batch sizes: many packets per system call, and single packets as on systems without `recvmmsg`.
const BATCHES: [&str; 2] = ["32", "1"];

#[test]
fn reply_is_a_thousand_letters_and_the_number() {
    for batch in BATCHES {
        let service = Service::start(&["--batch", batch]);
        let reply = service.request(b"\x01\x02\x03\x04\x05\x06\x07\x08 and more");
        assert_eq!(reply, [&[b'A'; 1000][..], b"\x01\x02\x03\x04\x05\x06\x07\x08"].concat());
        // The thesis' client sends its numbers as text and stops at the reply to LAST.
        assert_eq!(service.request(b"99999\0"), [&[b'A'; 1000][..], b"99999\0"].concat());
        assert_eq!(service.request(b"LAST\0"), b"LAST\0");
        assert_eq!(service.request(b""), [b'A'; 1000]);
    }
}

#[test]
fn echo_returns_packets_of_every_size() {
    for batch in BATCHES {
        let service = Service::start(&["--echo", "--batch", batch]);
        for size in [0, 1, 8, 1472, 1473, 65_507] {
            let packet: Vec<u8> = (0..=255).cycle().take(size).collect();
            assert_eq!(service.request(&packet), packet);
        }
    }
}

#[test]
fn several_sockets_reply_to_every_packet_of_several_clients() {
    let service = Service::start(&["--sockets", "3", "--reply-bytes", "10"]);
    let clients: Vec<_> = (0..20).map(|_| service.client()).collect();
    for round in 0..20_u64 {
        for client in &clients {
            client.send(&round.to_be_bytes()).unwrap();
        }
        for client in &clients {
            assert_eq!(receive(client)[10..], round.to_be_bytes());
        }
    }
    let counters = service.counters_after(400);
    assert_eq!((counters["received"], counters["answered"]), (400, 400));
    assert_eq!((counters["unsent"], counters["sockets"]), (0, 3));
}

/// Every packet is counted as received or as dropped by the kernel.
#[test]
fn drops_are_reported() {
    for batch in BATCHES {
        let service = Service::start(&["--receive-buffer", "8192", "--reply-bytes", "1", "--batch", batch]);
        let client = service.client();
        service.signal("-STOP");
        for number in 0..1000_u64 {
            client.send(&number.to_be_bytes()).unwrap();
        }
        service.signal("-CONT");
        // Wait for the replies to end, so that the STAT request itself is not dropped.
        client.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let answered = std::iter::repeat_with(|| client.recv(&mut [0; 16]))
            .take_while(Result::is_ok)
            .count();
        let counters = service.counters_after(1000);
        assert!(counters["dropped"] > 0, "{counters:?}");
        assert_eq!(counters["received"] + counters["dropped"], 1000);
        assert_eq!(counters["answered"], counters["received"]);
        assert_eq!(counters["answered"], answered as u64);
        assert!(counters["receive_buffer"] >= 8192);
    }
}

#[test]
fn signals_exit_with_code_0() {
    for signal in ["-TERM", "-INT"] {
        let mut service = Service::start(&["--sockets", "2"]);
        service.request(b"12345678");
        service.signal(signal);
        assert_eq!(service.exit_code(), Some(0));
    }
}

/// A load that never lets the socket run empty must not prevent the shutdown.
#[test]
fn sigterm_exits_under_load() {
    let mut service = Service::start(&["--batch", "2", "--reply-bytes", "0"]);
    let client = service.client();
    let (done, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // Fails once the service has exited.
                let _ = client.send(b"12345678");
                sent.fetch_add(1, Ordering::Relaxed);
            }
        });
        while sent.load(Ordering::Relaxed) < 10_000 {
            std::thread::yield_now();
        }
        service.signal("-TERM");
        let code = service.exit_code();
        done.store(true, Ordering::Relaxed);
        assert_eq!(code, Some(0));
    });
}

#[test]
fn invalid_options_are_reported_with_a_remedy() {
    let service = Service::start(&[]);
    let in_use = service.address.to_string();
    for (options, expected) in [
        (["--listen", &in_use], "choose another with --listen"),
        (["--reply-bytes", "65500"], "expected an integer from 0 to 65499"),
        (["--receive-buffer", "1073741824"], "net.core.rmem_max"),
        (["--batch", "0"], "0 is not in 1..=1024"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_workload"))
            .arg("udp")
            .args(options)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(expected), "{options:?}: {stderr}");
    }
}
