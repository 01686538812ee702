//! Where processes listen, to explain why a service cannot be reached: on loopback only, on another port, on IPv6 only.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use protocol::spec::Transport;

/// A socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    transport: &'static str,
    address: SocketAddr,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.transport, self.address)
    }
}

/// The states in `/proc/PID/net`, as written there: a listening TCP socket, and a UDP socket without a peer (`include/net/tcp_states.h`).
const LISTEN: &str = "0A";
const UNCONNECTED: &str = "07";

/// The sockets on which these processes listen, in the network namespace of each.
#[must_use]
pub fn listeners(pids: &[u32]) -> Vec<Listener> {
    let of = |pid: &u32| of_process(&Path::new("/proc").join(pid.to_string()));
    let all: BTreeSet<Listener> = pids.iter().flat_map(of).collect();
    all.into_iter().collect()
}

fn of_process(process: &Path) -> Vec<Listener> {
    let sockets = sockets(process);
    let files = [
        ("tcp", Transport::Tcp, LISTEN),
        ("tcp6", Transport::Tcp, LISTEN),
        ("udp", Transport::Udp, UNCONNECTED),
        ("udp6", Transport::Udp, UNCONNECTED),
    ];
    let read = |(file, transport, state): (&str, Transport, &str)| {
        let text = fs::read_to_string(process.join("net").join(file)).unwrap_or_default();
        parse(&text, state, &sockets, transport)
    };
    files.into_iter().flat_map(read).collect()
}

/// The inodes of a process's sockets.
fn sockets(process: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let targets = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets
        .filter_map(|target| {
            let text = target.to_str()?.strip_prefix("socket:[")?;
            Some(text.strip_suffix(']')?.to_owned())
        })
        .collect()
}

/// The sockets of a table in `/proc/PID/net` that are in this state and belong to a process.
fn parse(table: &str, state: &str, sockets: &BTreeSet<String>, transport: Transport) -> Vec<Listener> {
    let one = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (local, is, inode) = (words.get(1)?, words.get(3)?, words.get(9)?);
        let address = address(local)?;
        (*is == state && sockets.contains(*inode)).then_some(Listener {
            transport: match transport {
                Transport::Tcp => "tcp",
                Transport::Udp => "udp",
            },
            address,
        })
    };
    table.lines().skip(1).filter_map(one).collect()
}

/// `0100007F:1F90`: each 32 bits of the address in the order of the host's bytes, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    if !matches!(ip.len(), 8 | 32) {
        return None;
    }
    let words = ip.as_bytes().chunks(8);
    let mut bytes = Vec::new();
    for word in words {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let ip: IpAddr = match bytes.as_slice() {
        [a, b, c, d] => Ipv4Addr::new(*a, *b, *c, *d).into(),
        _ => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into(),
    };
    Some((ip, port).into())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn this_process_listens_where_it_does() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let six = TcpListener::bind("[::1]:0").ok();
        let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
        let shown: Vec<String> = listeners(&[std::process::id()])
            .iter()
            .map(ToString::to_string)
            .collect();
        let mut expected = vec![
            format!("tcp {}", tcp.local_addr().unwrap()),
            format!("udp {}", udp.local_addr().unwrap()),
        ];
        expected.extend(six.map(|six| format!("tcp {}", six.local_addr().unwrap())));
        for one in expected {
            assert!(shown.contains(&one), "{one} in {shown:?}");
        }
        assert_eq!(listeners(&[u32::MAX]), []);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn addresses_are_parsed() {
        assert_eq!(address("0100007F:1F90").unwrap().to_string(), "127.0.0.1:8080");
        assert_eq!(
            address("00000000000000000000000001000000:0050").unwrap().to_string(),
            "[::1]:80"
        );
        for bad in ["", "x", "0100007F", "0100:1", "0100007F:xyz12"] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }
}
