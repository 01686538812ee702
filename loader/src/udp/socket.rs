//! A socket to one address: many packets in one system call, and what the kernel dropped.

#![expect(
    unsafe_code,
    reason = "the calls that take many packets, and two options of sockets, have no safe form in std or socket2"
)]

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use socket2::SockRef;

use super::packet::{NUMBER_BYTES, number};
use crate::error::LoadError;

/// Most packets in one system call.
pub const BATCH: usize = 32;
/// The receive buffer that is asked for, bytes: thousands of replies, so that it is not here that they are lost.
const RECEIVE_BUFFER: usize = 16 << 20;
/// Place of the drops in what `SO_MEMINFO` tells (`SK_MEMINFO_DROPS`), and how many values it has.
const DROPS: usize = 8;
const VALUES: usize = 9;

/// A socket and the memory for its packets.
#[derive(Debug)]
pub struct Socket {
    socket: UdpSocket,
    receive_buffer: u64,
    size: usize,
    room: usize,
    outgoing: Box<[u8]>,
    incoming: Box<[u8]>,
    lengths: [usize; BATCH],
    call: Call,
}

/// Headers and parts of a system call, filled in anew before each.
#[derive(Debug)]
struct Call {
    headers: Box<[libc::mmsghdr]>,
    parts: Box<[libc::iovec]>,
}

// SAFETY: the pointers in it are used only within the method that has just filled them in, so it does not matter on which thread that is.
unsafe impl Send for Call {}

impl Socket {
    /// Opens a socket for packets of `size` bytes and replies of `room - 1`; one byte more tells what is longer.
    pub fn open(address: SocketAddr, size: usize, room: usize) -> Result<Self, LoadError> {
        let system = |what| move |source| LoadError::System { what, source };
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).map_err(system("open a socket"))?;
        socket
            .connect(address)
            .map_err(system("connect a socket to the service's address"))?;
        socket.set_nonblocking(true).map_err(system("set up a socket"))?;
        // SAFETY: all-zero is a valid value of these C structs: null pointers with length 0.
        let (header, part): (libc::mmsghdr, libc::iovec) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        Ok(Self {
            receive_buffer: enlarge(&socket),
            socket,
            size,
            room,
            outgoing: vec![0; BATCH * size].into(),
            incoming: vec![0; BATCH * room].into(),
            lengths: [0; BATCH],
            call: Call {
                headers: vec![header; BATCH].into(),
                parts: vec![part; BATCH].into(),
            },
        })
    }

    /// Its receive buffer as the kernel counts it, bytes.
    pub fn receive_buffer(&self) -> u64 {
        self.receive_buffer
    }

    /// Sends so many packets of a stream from this count on, [`BATCH`] at most, without waiting; returns how many the kernel took.
    pub fn send(&mut self, tag: u16, first: u64, packets: usize) -> io::Result<usize> {
        let places = self.outgoing.chunks_exact_mut(self.size).zip(first..);
        for ((packet, count), part) in places.zip(&mut self.call.parts).take(packets) {
            packet[..NUMBER_BYTES].copy_from_slice(&number(tag, count));
            part.iov_base = packet.as_mut_ptr().cast();
            part.iov_len = packet.len();
        }
        self.call.run(libc::SYS_sendmmsg, &self.socket, packets.min(BATCH))
    }

    /// Takes the packets that are there, without waiting; returns how many.
    pub fn receive(&mut self) -> io::Result<usize> {
        for (buffer, part) in self.incoming.chunks_exact_mut(self.room).zip(&mut self.call.parts) {
            part.iov_base = buffer.as_mut_ptr().cast();
            part.iov_len = buffer.len();
        }
        let received = self.call.run(libc::SYS_recvmmsg, &self.socket, BATCH)?;
        for (length, header) in self.lengths.iter_mut().zip(&self.call.headers).take(received) {
            *length = usize::try_from(header.msg_len).unwrap_or(usize::MAX).min(self.room);
        }
        Ok(received)
    }

    /// A packet of those that were received last.
    pub fn packet(&self, at: usize) -> &[u8] {
        &self.incoming[at * self.room..][..self.lengths[at]]
    }

    /// Packets that the kernel dropped at this socket since it was opened; `None` where it does not tell (before Linux 4.12).
    pub fn dropped(&self) -> Option<u64> {
        let mut values = [0_u32; VALUES];
        let mut length = libc::socklen_t::try_from(size_of_val(&values)).ok()?;
        // SAFETY: `values` has room for `length` bytes and lives over the call, as `length` does.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                values.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let told = usize::try_from(length).ok()? / size_of::<u32>();
        (result == 0 && told > DROPS).then(|| values[DROPS].into())
    }

    /// Waits until packets are there, or there is room for more if that is wanted, for so long at most.
    pub fn wait(&self, room: bool, patience: Duration) {
        let mut flags = PollFlags::POLLIN;
        flags.set(PollFlags::POLLOUT, room);
        let mut watched = [PollFd::new(self.socket.as_fd(), flags)];
        // A wait that a signal ends early, or that fails, is followed by another look.
        let _ = ppoll(&mut watched, Some(TimeSpec::from_duration(patience)), None);
    }
}

impl Call {
    /// Moves so many packets, without waiting; returns how many went through.
    fn run(&mut self, number: libc::c_long, socket: &UdpSocket, packets: usize) -> io::Result<usize> {
        for (header, part) in self.headers.iter_mut().zip(&mut self.parts).take(packets) {
            header.msg_hdr.msg_iov = &raw mut *part;
            header.msg_hdr.msg_iovlen = 1;
        }
        // The fifth argument is the time-out of recvmmsg; sendmmsg does not look at it.
        // SAFETY: the headers are as many as are told, and point to parts of this struct, which is borrowed mutably, and these to
        // buffers of the socket that the caller has just filled them in with.
        let result = unsafe {
            libc::syscall(
                number,
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                packets,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut::<libc::timespec>(),
            )
        };
        usize::try_from(result).map_err(|_| io::Error::last_os_error())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "4 bytes")]
const INT_BYTES: libc::socklen_t = size_of::<libc::c_int>() as libc::socklen_t;

/// Makes the receive buffer as large as may be: beyond net.core.rmem_max with CAP_NET_ADMIN. Returns what it is.
fn enlarge(socket: &UdpSocket) -> u64 {
    let wanted = libc::c_int::try_from(RECEIVE_BUFFER).unwrap_or(libc::c_int::MAX);
    // SAFETY: the value is an int that lives over the call, of the length that is told.
    let forced = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            (&raw const wanted).cast(),
            INT_BYTES,
        )
    };
    let socket = SockRef::from(socket);
    if forced != 0 {
        // The kernel caps it at net.core.rmem_max.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    }
    socket.recv_buffer_size().map_or(0, |bytes| bytes as u64)
}
