//! Packet counters of the service, which is queried, and of this host's kernel.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use protocol::load::{HostCounters, ServiceCounters};

use crate::reachability::unspecified;

/// The query of the workload `udp`.
const QUERY: &[u8] = b"STAT";
/// Number of attempts and time-out of each, since the query or the reply may be lost.
const ATTEMPTS: u64 = 5;
const REPLY_TIMEOUT: Duration = Duration::from_millis(300);

/// Upper bound of the duration of a query.
pub const MAX_QUERY_TIME: Duration = Duration::from_millis(2000);

/// Queries the counters of a service; `None`: it does not support that.
pub fn query_service(address: SocketAddr) -> Option<ServiceCounters> {
    let socket = UdpSocket::bind(unspecified(address)).ok()?;
    socket.connect(address).ok()?;
    socket.set_read_timeout(Some(REPLY_TIMEOUT)).ok()?;
    let mut buffer = [0; 2048];
    for attempt in 0..ATTEMPTS {
        let query = [QUERY, &attempt.to_be_bytes()].concat();
        // A refused query is repeated: the service may be starting.
        let _ = socket.send(&query);
        let Ok(length) = socket.recv(&mut buffer) else { continue };
        // A service without counters sends another reply every time.
        return parse(buffer[..length].strip_prefix(&query[..])?);
    }
    None
}

/// Parses the lines of a reply.
fn parse(lines: &[u8]) -> Option<ServiceCounters> {
    let lines = std::str::from_utf8(lines).ok()?;
    let value = |name: &str| {
        let line = lines
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line?.parse::<u64>().ok()
    };
    Some(ServiceCounters {
        received: value("received")?,
        answered: value("answered")?,
        unsent: value("unsent")?,
        dropped: value("dropped"),
        receive_buffer: value("receive_buffer").unwrap_or(0),
        sockets: value("sockets").unwrap_or(1),
    })
}

/// Reads the counters of this host's kernel; `None`: unavailable.
pub fn read_host() -> Option<HostCounters> {
    parse_snmp(&std::fs::read_to_string("/proc/net/snmp").ok()?)
}

/// Parses the two lines that begin with `Udp:`: names, then values.
fn parse_snmp(text: &str) -> Option<HostCounters> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let value = |name: &str| {
        let column = names.split_whitespace().position(|known| known == name)?;
        values.split_whitespace().nth(column)?.parse::<u64>().ok()
    };
    Some(HostCounters {
        receive_buffer_errors: value("RcvbufErrors")?,
        send_buffer_errors: value("SndbufErrors")?,
        checksum_errors: value("InCsumErrors").unwrap_or(0),
        no_ports: value("NoPorts")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_parsed() {
        let text = b"received 12\nanswered 11\nunsent 1\nreceive_buffer 212992\nsockets 2\n";
        let counters = parse(text).unwrap();
        assert_eq!((counters.received, counters.answered, counters.unsent), (12, 11, 1));
        assert_eq!((counters.dropped, counters.sockets), (None, 2));
        for bad in [&b""[..], b"AAAA", b"received x\nanswered 1\nunsent 1\n", b"\xff"] {
            assert_eq!(parse(bad), None);
        }
    }

    #[test]
    fn snmp_counters_are_found_by_name() {
        let text = "Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors\nUdp: 1 2 3 4 5 6 7\nUdpLite: x\n";
        let counters = parse_snmp(text).unwrap();
        assert_eq!((counters.receive_buffer_errors, counters.no_ports), (5, 2));
        assert_eq!((counters.send_buffer_errors, counters.checksum_errors), (6, 7));
        assert_eq!(parse_snmp("Udp: InDatagrams\n"), None);
    }

    #[test]
    fn a_silent_address_has_no_counters() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(query_service(socket.local_addr().unwrap()), None);
    }
}
