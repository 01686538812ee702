//! The binary `workload tcp` over real sockets.

#![expect(clippy::unwrap_used, reason = "test code may panic")]

mod service;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use service::{Service, TIMEOUT};

/// Limit of a service that runs out of file descriptors.
const DESCRIPTORS: usize = 24;

impl Service {
    fn start(options: &[&str]) -> Self {
        Self::start_workload("tcp", options)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream
    }

    /// Sends a request and reads until the service closes the connection.
    fn request(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    }
}

#[test]
fn replies_with_a_thousand_letters_and_closes_on_request() {
    let service = Service::start(&[]);
    let reply = service.request(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("\r\nContent-Length: 1000"));
    assert_eq!(body, "A".repeat(1000));
}

#[test]
fn serves_a_pipeline_larger_than_its_buffers() {
    let service = Service::start(&["--reply-bytes", "3000"]);
    let mut stream = service.connect();
    let mut writer = stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let one = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(5000);
        writer.write_all(&one).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut replies = Vec::new();
    stream.read_to_end(&mut replies).unwrap();
    sender.join().unwrap();
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3000\r\n\r\n";
    assert_eq!(replies.len(), 5000 * (head.len() + 3000));
    assert!(
        replies
            .chunks(head.len() + 3000)
            .all(|r| r.starts_with(head) && r.ends_with(b"AAA"))
    );
}

#[test]
fn request_may_arrive_byte_by_byte() {
    let service = Service::start(&["--reply-bytes", "1"]);
    let mut stream = service.connect();
    stream.set_nodelay(true).unwrap();
    for byte in b"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc" {
        stream.write_all(&[*byte]).unwrap();
    }
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 OK") && reply.ends_with("\r\n\r\nA"));
}

#[test]
fn refused_client_that_is_still_sending_gets_its_reply() {
    let service = Service::start(&[]);
    let mut request = b"GET / HTTP/1.1\r\nHost: h\r\nX: ".to_vec();
    request.resize(300_000, b'x');
    assert!(service.request(&request).starts_with("HTTP/1.1 431 "));
    assert!(service.request(b"\x16\x03\x01\n").starts_with("HTTP/1.1 400 "));
}

#[test]
fn idle_connection_is_closed() {
    let service = Service::start(&["--idle", "1"]);
    let mut stream = service.connect();
    stream.write_all(b"GET / HT").unwrap();
    assert_eq!(stream.read(&mut [0; 10]).unwrap(), 0);
}

#[test]
fn connections_over_the_limit_wait() {
    let service = Service::start(&["--connections", "2", "--threads", "1"]);
    let held = [service.connect(), service.connect()];
    let mut third = service.connect();
    third.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    third.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(third.read(&mut [0; 10]).is_err());
    drop(held);
    third.set_read_timeout(Some(TIMEOUT)).unwrap();
    assert!(third.read(&mut [0; 10]).unwrap() > 0);
}

#[test]
fn running_out_of_descriptors_neither_spins_nor_stops_the_service() {
    let mut service = Service::start_with_few_descriptors();
    let held: Vec<_> = (0..40).map(|_| service.connect()).collect();
    let files = || {
        std::fs::read_dir(format!("/proc/{}/fd", service.child.id()))
            .unwrap()
            .count()
    };
    let start = Instant::now();
    while files() < DESCRIPTORS {
        assert!(start.elapsed() < TIMEOUT, "only {} descriptors are open", files());
        std::thread::sleep(Duration::from_millis(10));
    }
    let before = cpu_ticks(service.child.id());
    std::thread::sleep(Duration::from_secs(1));
    assert!(cpu_ticks(service.child.id()) - before < 30, "busy loop");
    drop(held);
    assert!(service.request(b"GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 200"));
    assert!(service.child.try_wait().unwrap().is_none());
}

#[test]
fn threads_share_one_port() {
    let service = Service::start(&["--threads", "3"]);
    for _ in 0..50 {
        assert!(service.request(b"GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 200"));
    }
}

#[test]
fn sigterm_exits_with_code_0() {
    for threads in ["1", "2"] {
        let mut service = Service::start(&["--threads", threads]);
        let _idle = service.connect();
        assert!(service.request(b"GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 200"));
        service.signal("-TERM");
        assert_eq!(service.exit_code(), Some(0));
    }
}

#[test]
fn sigterm_finishes_requests_in_flight() {
    let mut service = Service::start(&[]);
    let mut stream = service.connect();
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        .unwrap();
    let mut reply = [0; 25];
    stream.read_exact(&mut reply).unwrap();
    service.signal("-TERM");
    stream.write_all(b"xy").unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.starts_with("HTTP/1.1 200 OK"));
    assert_eq!(service.exit_code(), Some(0));
}

#[test]
fn port_in_use_is_reported_with_a_remedy() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let out = Command::new(env!("CARGO_BIN_EXE_workload"))
        .args(["tcp", "--listen", &address])
        .output()
        .unwrap();
    let message = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(2));
    assert!(
        message.contains(&address) && message.contains("--listen") && message.contains("ss -ltnup"),
        "{message}"
    );
}

impl Service {
    fn start_with_few_descriptors() -> Self {
        let script = format!(
            "ulimit -n {DESCRIPTORS}; exec {} tcp --listen 127.0.0.1:0",
            env!("CARGO_BIN_EXE_workload")
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        Self::spawn(command)
    }
}

/// User and system time of a process in clock ticks of 10 ms.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
