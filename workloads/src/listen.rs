//! Listening sockets, one for each thread.

use std::io;
use std::net::{SocketAddr, TcpListener};

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

#[cfg(test)]
mod tests {
    use super::*;

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
