//! A UDP socket with batched system calls and drop counters.

#![expect(
    unsafe_code,
    reason = "std and socket2 have no safe wrapper of sendmmsg, recvmmsg, SO_MEMINFO and SO_RCVBUFFORCE"
)]

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use socket2::SockRef;

use super::packet::{NUMBER_BYTES, number};
use crate::error::LoadError;
use crate::reachability::unspecified;

/// Maximum number of packets per system call.
pub const BATCH: usize = 32;
/// Requested receive buffer, bytes: large enough that replies are not dropped here.
const RECEIVE_BUFFER: usize = 16 << 20;
/// Index of the drop counter in `SO_MEMINFO` (`SK_MEMINFO_DROPS`), and the number of values.
const DROPS: usize = 8;
const VALUES: usize = 9;

/// A connected socket and the buffers of its packets.
#[derive(Debug)]
pub struct Socket {
    socket: UdpSocket,
    receive_buffer: u64,
    size: usize,
    reply_room: usize,
    outgoing: Box<[u8]>,
    incoming: Box<[u8]>,
    lengths: [usize; BATCH],
    call: Call,
}

/// Headers and I/O vectors of a system call, set before each one.
#[derive(Debug)]
struct Call {
    headers: Box<[libc::mmsghdr]>,
    parts: Box<[libc::iovec]>,
}

// SAFETY: the pointers are only used within the method that has just set them, so the thread does not matter.
unsafe impl Send for Call {}

impl Socket {
    /// Opens a socket for packets of `size` bytes and replies of `reply_room - 1` bytes; the extra byte detects longer replies.
    pub fn open(address: SocketAddr, size: usize, reply_room: usize) -> Result<Self, LoadError> {
        let system = |what| move |source| LoadError::System { what, source };
        let socket = UdpSocket::bind(unspecified(address)).map_err(system("open a socket"))?;
        socket
            .connect(address)
            .map_err(system("connect a socket to the service's address"))?;
        socket.set_nonblocking(true).map_err(system("set up a socket"))?;
        // SAFETY: all zeros is a valid value of these C structs: null pointers with length 0.
        let (header, part): (libc::mmsghdr, libc::iovec) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        Ok(Self {
            receive_buffer: enlarge(&socket),
            socket,
            size,
            reply_room,
            outgoing: vec![0; BATCH * size].into(),
            incoming: vec![0; BATCH * reply_room].into(),
            lengths: [0; BATCH],
            call: Call {
                headers: vec![header; BATCH].into(),
                parts: vec![part; BATCH].into(),
            },
        })
    }

    /// The receive buffer as the kernel counts it, bytes.
    pub fn receive_buffer(&self) -> u64 {
        self.receive_buffer
    }

    /// Sends packets of a stream from a count on, at most [`BATCH`], without blocking; returns how many were sent.
    pub fn send(&mut self, tag: u16, first: u64, packets: usize) -> io::Result<usize> {
        let buffers = self.outgoing.chunks_exact_mut(self.size).zip(first..);
        for ((packet, count), part) in buffers.zip(&mut self.call.parts).take(packets) {
            packet[..NUMBER_BYTES].copy_from_slice(&number(tag, count));
            part.iov_base = packet.as_mut_ptr().cast();
            part.iov_len = packet.len();
        }
        self.call.run(libc::SYS_sendmmsg, &self.socket, packets.min(BATCH))
    }

    /// Receives available packets, without blocking; returns how many.
    pub fn receive(&mut self) -> io::Result<usize> {
        for (buffer, part) in self
            .incoming
            .chunks_exact_mut(self.reply_room)
            .zip(&mut self.call.parts)
        {
            part.iov_base = buffer.as_mut_ptr().cast();
            part.iov_len = buffer.len();
        }
        let received = self.call.run(libc::SYS_recvmmsg, &self.socket, BATCH)?;
        for (length, header) in self.lengths.iter_mut().zip(&self.call.headers).take(received) {
            *length = usize::try_from(header.msg_len)
                .unwrap_or(usize::MAX)
                .min(self.reply_room);
        }
        Ok(received)
    }

    /// A packet of the last batch received.
    pub fn packet(&self, at: usize) -> &[u8] {
        &self.incoming[at * self.reply_room..][..self.lengths[at]]
    }

    /// Packets that the kernel dropped at this socket since it was opened; `None`: unavailable (before Linux 4.12).
    pub fn dropped(&self) -> Option<u64> {
        let mut values = [0_u32; VALUES];
        let mut length = libc::socklen_t::try_from(size_of_val(&values)).ok()?;
        // SAFETY: `values` has `length` bytes, and both outlive the call.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                values.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let returned = usize::try_from(length).ok()? / size_of::<u32>();
        (result == 0 && returned > DROPS).then(|| values[DROPS].into())
    }

    /// Waits until packets are available or, if `writable`, can be sent, or until the time-out.
    pub fn wait(&self, writable: bool, timeout: Duration) {
        let mut flags = PollFlags::POLLIN;
        flags.set(PollFlags::POLLOUT, writable);
        let mut watched = [PollFd::new(self.socket.as_fd(), flags)];
        // The caller tries again in any case, so errors and interruptions do not matter.
        let _ = ppoll(&mut watched, Some(TimeSpec::from_duration(timeout)), None);
    }
}

impl Call {
    /// Transfers packets without blocking; returns how many.
    fn run(&mut self, number: libc::c_long, socket: &UdpSocket, packets: usize) -> io::Result<usize> {
        for (header, part) in self.headers.iter_mut().zip(&mut self.parts).take(packets) {
            header.msg_hdr.msg_iov = &raw mut *part;
            header.msg_hdr.msg_iovlen = 1;
        }
        // The fifth argument is the time-out of recvmmsg; sendmmsg ignores it.
        // SAFETY: there are at least `packets` headers. They point to I/O vectors of this struct, which is borrowed mutably, and those
        // to buffers of the socket that the caller has just set.
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

/// Enlarges the receive buffer as far as permitted: beyond net.core.rmem_max with CAP_NET_ADMIN. Returns its size.
fn enlarge(socket: &UdpSocket) -> u64 {
    let wanted = libc::c_int::try_from(RECEIVE_BUFFER).unwrap_or(libc::c_int::MAX);
    // SAFETY: the value is an int of the given length that outlives the call.
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
        // The kernel limits it to net.core.rmem_max.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    }
    socket.recv_buffer_size().map_or(0, |bytes| bytes as u64)
}
