//! The binary `workload task` over real sockets.

#![expect(clippy::unwrap_used, reason = "test code may panic")]

mod service;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use service::{Service, TIMEOUT};

fn get(service: &Service, path: &str) -> String {
    let mut stream = TcpStream::connect(service.address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

#[test]
fn every_request_is_a_run() {
    let service = Service::start_workload("task", &["--output", "42", "--", "/bin/sh", "-c", "echo 42"]);
    assert!(get(&service, "/").ends_with("\r\n\r\nready\n"));
    for _ in 0..3 {
        let reply = get(&service, "/run");
        assert!(
            reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.contains("\nexit_code 0\n"),
            "{reply}"
        );
        assert!(!reply.contains("failure"), "{reply}");
    }
    let missing = Service::start_workload("task", &["--", "/nowhere"]);
    let reply = get(&missing, "/run");
    assert!(
        reply.starts_with("HTTP/1.1 500 ") && reply.contains("failure cannot start it: "),
        "{reply}"
    );
}

#[test]
fn a_client_that_says_nothing_does_not_keep_others_out_forever() {
    let service = Service::start_workload("task", &["--", "/bin/true"]);
    let silent = TcpStream::connect(service.address).unwrap();
    let reply = get(&service, "/run");
    assert!(reply.contains("exit_code 0"), "{reply}");
    drop(silent);
}

#[test]
fn a_signal_ends_it_with_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!("echo $$ >{}; exec sleep 1000", file.display());
    let mut service = Service::start_workload("task", &["--", "/bin/sh", "-c", &script]);
    let mut client = TcpStream::connect(service.address).unwrap();
    client.write_all(b"GET /run HTTP/1.1\r\n\r\n").unwrap();
    let pid = wait_for(|| std::fs::read_to_string(&file).ok().filter(|text| text.ends_with('\n')));
    service.signal("-TERM");
    assert_eq!(service.exit_code(), Some(0));
    let process = format!("/proc/{}/status", pid.trim());
    wait_for(|| {
        let status = std::fs::read_to_string(Path::new(&process));
        status.map_or(true, |text| text.contains("State:\tZ")).then_some(())
    });
}

fn wait_for<T>(ready: impl Fn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(start.elapsed() < TIMEOUT, "it does not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}
