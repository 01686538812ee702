//! What the two ends counted: the service, which is asked, and this host's kernel.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use protocol::load::{HostCounters, ServiceCounters};

/// The word that asks, as the workload `udp` has it.
const ASK: &[u8] = b"STAT";
/// How often it is asked, and how long an answer may take: the packet, or its answer, may be lost.
const TRIES: u64 = 5;
const PATIENCE: Duration = Duration::from_millis(300);

/// The longest that asking takes, and a little more.
pub const LONGEST: Duration = Duration::from_millis(2000);

/// Asks a service what it has counted so far; `None`: it does not tell.
pub fn ask(address: SocketAddr) -> Option<ServiceCounters> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(address).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut buffer = [0; 2048];
    for nth in 0..TRIES {
        let question = [ASK, &nth.to_be_bytes()].concat();
        // One that is refused is asked again: the service may be about to come.
        let _ = socket.send(&question);
        let Ok(length) = socket.recv(&mut buffer) else { continue };
        // Whoever answers something else answers it every time.
        return parse(buffer[..length].strip_prefix(&question[..])?);
    }
    None
}

/// Reads the lines of an answer.
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

/// Reads what this host's kernel counts; `None` where it does not tell.
pub fn of_host() -> Option<HostCounters> {
    of_snmp(&std::fs::read_to_string("/proc/net/snmp").ok()?)
}

/// Two lines that begin with `Udp:`: names, then values.
fn of_snmp(text: &str) -> Option<HostCounters> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let value = |name: &str| {
        let place = names.split_whitespace().position(|known| known == name)?;
        values.split_whitespace().nth(place)?.parse::<u64>().ok()
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
    fn an_answer_is_read_and_others_are_not() {
        let text = b"received 12\nanswered 11\nunsent 1\nreceive_buffer 212992\nsockets 2\n";
        let counters = parse(text).unwrap();
        assert_eq!((counters.received, counters.answered, counters.unsent), (12, 11, 1));
        assert_eq!((counters.dropped, counters.sockets), (None, 2));
        for bad in [&b""[..], b"AAAA", b"received x\nanswered 1\nunsent 1\n", b"\xff"] {
            assert_eq!(parse(bad), None);
        }
    }

    #[test]
    fn the_kernels_counters_are_found_by_their_names() {
        let text = "Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors\nUdp: 1 2 3 4 5 6 7\nUdpLite: x\n";
        let counters = of_snmp(text).unwrap();
        assert_eq!((counters.receive_buffer_errors, counters.no_ports), (5, 2));
        assert_eq!((counters.send_buffer_errors, counters.checksum_errors), (6, 7));
        assert_eq!(of_snmp("Udp: InDatagrams\n"), None);
    }

    #[test]
    fn nobody_tells_where_nobody_is() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(ask(socket.local_addr().unwrap()), None);
    }
}
