//! A socket, encrypted or not.

use std::io::{self, Read, Write};

use mio::net::TcpStream;
use protocol::load::TlsStats;

use crate::tls::TlsStream;

/// A socket, encrypted or not.
#[derive(Debug)]
pub enum Stream {
    /// Not encrypted.
    Plain(TcpStream),
    /// Encrypted; boxed, since it is much larger.
    Tls(Box<TlsStream>),
}

impl Stream {
    /// The socket itself.
    pub const fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => &tls.tcp,
        }
    }

    /// The socket itself, to be registered.
    pub const fn socket_mut(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => &mut tls.tcp,
        }
    }

    /// Whether it is encrypted.
    pub const fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Continues the handshake; `true`: it is complete, and has been counted.
    pub fn handshake(&mut self, stats: &mut TlsStats) -> io::Result<bool> {
        let Self::Tls(tls) = self else { return Ok(true) };
        let done = tls.handshake()?;
        if done {
            tls.count(stats);
        }
        Ok(done)
    }

    /// Reads the peer's bytes.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }

    /// Sends bytes; those that it accepts but cannot send yet are sent by [`Self::flush`].
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    /// Whether accepted bytes wait for the socket.
    pub fn wants_write(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.wants_write(),
        }
    }

    /// Sends accepted bytes as far as the socket takes them.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(tls) => tls.flush(),
        }
    }
}
