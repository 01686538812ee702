//! Ports for the services and brokers of tests.

use std::fs::File;
use std::net::{TcpListener, UdpSocket};
use std::sync::Mutex;

use nix::fcntl::{Flock, FlockArg};

/// Below the range of outgoing connections (`net.ipv4.ip_local_port_range`), of which a load makes thousands.
const PORTS: std::ops::Range<u16> = 10_000..30_000;

/// Reserved by this process, until it ends.
static RESERVED: Mutex<Vec<Flock<File>>> = Mutex::new(Vec::new());

/// A TCP and UDP port that is free and stays reserved until this process ends: a locked file keeps it from all other tests on this machine.
///
/// # Panics
/// If every port is taken.
#[must_use]
pub fn free_port() -> u16 {
    let first = PORTS.start + u16::try_from(std::process::id() % 20_000).unwrap();
    (first..PORTS.end)
        .chain(PORTS.start..first)
        .find(|port| reserve(*port))
        .expect("all ports from 10000 to 29999 are taken")
}

fn reserve(port: u16) -> bool {
    let directory = std::env::temp_dir().join(format!("jung-test-ports-{}", nix::unistd::getuid()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join(port.to_string());
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .unwrap();
    let Ok(lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else {
        return false;
    };
    let is_free = TcpListener::bind(("0.0.0.0", port)).is_ok() && UdpSocket::bind(("0.0.0.0", port)).is_ok();
    if is_free {
        RESERVED.lock().unwrap().push(lock);
    }
    is_free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice_although_nobody_listens() {
        let ports: std::collections::BTreeSet<u16> = (0..50).map(|_| free_port()).collect();
        assert_eq!(ports.len(), 50);
        assert!(ports.iter().all(|port| PORTS.contains(port)));
    }

    #[test]
    fn a_port_in_use_is_not_given() {
        let taken = free_port();
        assert!(!reserve(taken), "its lock is held");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(!reserve(listener.local_addr().unwrap().port()), "somebody listens");
    }
}
