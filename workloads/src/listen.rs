//! Listening sockets, one for each thread.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// Length of the accept queue; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Opens `count` non-blocking listeners on one address.
///
/// More than one share the port by `SO_REUSEPORT`, and the kernel spreads connections over them. As
/// that option would also let in a second process, the port is first tried without it, so that a
/// port in use is always an error. With port 0 all listeners get the same free port.
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
    // Accepted sockets inherit it, which saves a system call a connection. Not every guest knows it.
    let _ = socket.set_tcp_nodelay(true);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Opens `count` sockets on one address, each with a receive buffer of so many bytes if told.
///
/// As with [`tcp`], more than one share the port by `SO_REUSEPORT`, and a port in use is always an error. The kernel gives all packets of
/// one client's port to one of them.
pub fn udp(address: SocketAddr, count: usize, receive_buffer: Option<u32>) -> io::Result<Vec<UdpSocket>> {
    if count <= 1 {
        return Ok(vec![open_udp(address, false, receive_buffer)?]);
    }
    let address = open_udp(address, false, None)?.local_addr()?;
    (0..count).map(|_| open_udp(address, true, receive_buffer)).collect()
}

/// Without `SO_REUSEADDR`, which for UDP would let a second process in.
fn open_udp(address: SocketAddr, shared: bool, receive_buffer: Option<u32>) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    if let Some(bytes) = receive_buffer {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        socket.set_recv_buffer_size(bytes)?;
        // The kernel caps it at net.core.rmem_max without a word, and shows twice what was asked for.
        if socket.recv_buffer_size()? < bytes {
            return Err(io::Error::other(format!(
                "a receive buffer of {bytes} bytes is more than net.core.rmem_max allows (`sysctl -w net.core.rmem_max={bytes}`)"
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
    fn a_port_in_use_is_an_error_for_udp_too() {
        let holder = udp(([127, 0, 0, 1], 0).into(), 2, None).unwrap();
        let address = holder[0].local_addr().unwrap();
        assert_eq!(holder[1].local_addr().unwrap(), address);
        for count in [1, 2] {
            assert_eq!(udp(address, count, None).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        }
    }

    #[test]
    fn a_receive_buffer_is_had_or_refused() {
        let local = ([127, 0, 0, 1], 0).into();
        let socket = Socket::from(udp(local, 1, Some(100_000)).unwrap().remove(0));
        assert!(socket.recv_buffer_size().unwrap() >= 100_000);
        let error = udp(local, 1, Some(u32::MAX)).unwrap_err().to_string();
        assert!(error.contains("net.core.rmem_max"), "{error}");
    }

    #[test]
    fn several_listeners_share_a_free_port() {
        let listeners = tcp(([127, 0, 0, 1], 0).into(), 3).unwrap();
        let first = listeners[0].local_addr().unwrap();
        assert!(listeners.iter().all(|l| l.local_addr().unwrap() == first));
    }

    #[test]
    fn a_taken_port_is_an_error_even_when_shared() {
        let holder = tcp(([127, 0, 0, 1], 0).into(), 2).unwrap();
        let address = holder[0].local_addr().unwrap();
        for count in [1, 2] {
            assert_eq!(tcp(address, count).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        }
    }
}
