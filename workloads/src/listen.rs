//! Listening sockets, one per thread.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// Length of the accept queue; limited by `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Opens `count` non-blocking listeners on one address.
///
/// Several listeners share the port with `SO_REUSEPORT`; the kernel distributes the connections. That
/// option would also admit another process, so the port is first bound without it: a port in use is
/// always an error. With port 0 all listeners get the same free port.
pub fn tcp(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    if count <= 1 {
        return Ok(vec![open(address, false)?]);
    }
    let address = open(address, false)?.local_addr()?;
    (0..count).map(|_| open(address, true)).collect()
}

fn open(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    // Accepted sockets inherit it, which saves a system call per connection. Some guests do not support it.
    let _ = socket.set_tcp_nodelay(true);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Opens `count` non-blocking sockets on one address, with a receive buffer of `receive_buffer` bytes if given.
///
/// As with [`tcp`], several sockets share the port with `SO_REUSEPORT`, and a port in use is always an error. The
/// kernel assigns all packets from one client port to the same socket.
pub fn udp(address: SocketAddr, count: usize, receive_buffer: Option<u32>) -> io::Result<Vec<UdpSocket>> {
    if count <= 1 {
        return Ok(vec![open_udp(address, false, receive_buffer)?]);
    }
    let address = open_udp(address, false, None)?.local_addr()?;
    (0..count).map(|_| open_udp(address, true, receive_buffer)).collect()
}

/// Without `SO_REUSEADDR`, which for UDP would admit another process.
fn open_udp(address: SocketAddr, shared: bool, receive_buffer: Option<u32>) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    if let Some(bytes) = receive_buffer {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        socket.set_recv_buffer_size(bytes)?;
        // The kernel silently limits it to net.core.rmem_max and reports twice the requested size.
        if socket.recv_buffer_size()? < bytes {
            return Err(io::Error::other(format!(
                "a receive buffer of {bytes} bytes exceeds net.core.rmem_max (`sysctl -w net.core.rmem_max={bytes}`)"
            )));
        }
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn udp_port_in_use_is_an_error() {
        let existing = udp(([127, 0, 0, 1], 0).into(), 2, None).unwrap();
        let address = existing[0].local_addr().unwrap();
        assert_eq!(existing[1].local_addr().unwrap(), address);
        for count in [1, 2] {
            assert_eq!(udp(address, count, None).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        }
    }

    #[test]
    fn receive_buffer_is_set_or_refused() {
        let local = ([127, 0, 0, 1], 0).into();
        let socket = Socket::from(udp(local, 1, Some(100_000)).unwrap().remove(0));
        assert!(socket.recv_buffer_size().unwrap() >= 100_000);
        let error = udp(local, 1, Some(u32::MAX)).unwrap_err().to_string();
        assert!(error.contains("net.core.rmem_max"), "{error}");
    }

    #[test]
    fn listeners_share_a_free_port() {
        let listeners = tcp(([127, 0, 0, 1], 0).into(), 3).unwrap();
        let first = listeners[0].local_addr().unwrap();
        assert!(listeners.iter().all(|l| l.local_addr().unwrap() == first));
    }

    #[test]
    fn tcp_port_in_use_is_an_error_even_when_shared() {
        let existing = tcp(([127, 0, 0, 1], 0).into(), 2).unwrap();
        let address = existing[0].local_addr().unwrap();
        for count in [1, 2] {
            assert_eq!(tcp(address, count).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        }
    }
}
