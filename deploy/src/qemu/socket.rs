//! The sockets that QEMU connects to.
//!
//! They are abstract, so they leave nothing in the file system. Any process on the host could connect to one, so the peer is checked.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener as Blocking};

use protocol::ids::AttemptId;
use tokio::net::{UnixListener, UnixStream};

/// A socket that waits for one connection.
#[derive(Debug)]
pub(super) struct Socket {
    name: String,
    listener: UnixListener,
}

impl Socket {
    /// A socket with a unique name.
    pub(super) fn new(purpose: &str) -> io::Result<Self> {
        let name = format!("jung-{}-{purpose}", AttemptId::fresh());
        let listener = Blocking::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            name,
            listener: UnixListener::from_std(listener)?,
        })
    }

    /// Its name, without the leading NUL of an abstract name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Accepts the connection of the process `pid`, and closes all others.
    pub(super) async fn accept(&self, pid: u32) -> io::Result<UnixStream> {
        let pid = i32::try_from(pid).ok();
        loop {
            let (stream, _) = self.listener.accept().await?;
            if pid.is_some() && stream.peer_cred()?.pid() == pid {
                return Ok(stream);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn another_process_is_rejected() {
        let socket = Socket::new("test").unwrap();
        let address = SocketAddr::from_abstract_name(socket.name()).unwrap();
        let _ours = std::os::unix::net::UnixStream::connect_addr(&address).unwrap();
        socket.accept(std::process::id()).await.unwrap();
        let _ours = std::os::unix::net::UnixStream::connect_addr(&address).unwrap();
        let patience = std::time::Duration::from_millis(50);
        let accepted = tokio::time::timeout(patience, socket.accept(1)).await;
        assert!(accepted.is_err(), "only PID 1 was accepted");
    }
}
