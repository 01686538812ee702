//! Many packets in one system call.
//!
//! `recvmmsg` and `sendmmsg` are called by number, so that a system that does not have them says ENOSYS and is then served with `recvmsg` and
//! `sendmsg`; a program linked to their names would not even start there.

#![expect(
    unsafe_code,
    reason = "the calls that take many packets have no safe form in std or socket2"
)]

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use socket2::{SockAddr, SockAddrStorage};

use super::packet::LARGEST;

/// Room for a packet of any length: whole pages, of which only those are touched that packets reach.
const ROOM: usize = LARGEST.next_multiple_of(4096);

/// Packets in, and the replies to them.
#[derive(Debug)]
pub struct Batch<'a> {
    buffers: Box<[u8]>,
    senders: Box<[libc::sockaddr_storage]>,
    sender_bytes: Box<[libc::socklen_t]>,
    /// Bytes of each packet that was received last.
    lengths: Box<[usize]>,
    replies: Vec<Queued<'a>>,
    /// Headers and parts of a call, filled in anew before each.
    headers: Box<[libc::mmsghdr]>,
    parts: Box<[[libc::iovec; 2]]>,
    /// Whether the system takes many packets in one call.
    many: bool,
}

/// A reply that waits: letters, then so many bytes of the packet at a place.
#[derive(Debug, Clone, Copy)]
struct Queued<'a> {
    letters: &'a [u8],
    at: usize,
    kept: usize,
}

/// What came of sending.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Replies that the system took.
    pub taken: usize,
    /// Replies that it refused.
    pub refused: usize,
    /// The first reply that still waits for room; `None`: all are gone.
    pub stopped_at: Option<usize>,
}

impl<'a> Batch<'a> {
    /// Room for so many packets; with 1 the calls for single packets are used.
    pub fn new(packets: usize) -> Self {
        // SAFETY: all-zero is a valid value of these C structs: null pointers with length 0, no address.
        let (header, part, sender): (libc::mmsghdr, libc::iovec, libc::sockaddr_storage) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed(), std::mem::zeroed()) };
        Self {
            buffers: vec![0; packets * ROOM].into(),
            senders: vec![sender; packets].into(),
            sender_bytes: vec![0; packets].into(),
            lengths: vec![0; packets].into(),
            replies: Vec::with_capacity(packets),
            headers: vec![header; packets].into(),
            parts: vec![[part; 2]; packets].into(),
            many: packets > 1,
        }
    }

    /// How many packets it holds.
    pub fn capacity(&self) -> usize {
        self.lengths.len()
    }

    /// Takes what is there, without waiting; returns how many packets. Forgets those before, and their replies.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.replies.clear();
        let places = self.buffers.chunks_exact_mut(ROOM).zip(&mut self.senders);
        for ((header, parts), (buffer, sender)) in self.headers.iter_mut().zip(&mut self.parts).zip(places) {
            parts[0].iov_base = buffer.as_mut_ptr().cast();
            parts[0].iov_len = buffer.len();
            let header = &mut header.msg_hdr;
            header.msg_name = (&raw mut *sender).cast();
            header.msg_namelen = NAME_BYTES;
            header.msg_iov = parts.as_mut_ptr();
            header.msg_iovlen = 1;
        }
        let capacity = self.capacity();
        let received = self.call(socket, Direction::In, capacity)?;
        for at in 0..received {
            self.lengths[at] = usize::try_from(self.headers[at].msg_len).unwrap_or(0).min(ROOM);
            self.sender_bytes[at] = self.headers[at].msg_hdr.msg_namelen;
        }
        Ok(received)
    }

    /// A packet of those that were received last.
    pub fn packet(&self, at: usize) -> &[u8] {
        &self.buffers[at * ROOM..][..self.lengths[at]]
    }

    /// Who sent it; `None` for a family that is not the Internet's.
    pub fn sender(&self, at: usize) -> Option<SocketAddr> {
        let mut storage = SockAddrStorage::zeroed();
        // SAFETY: both are the system's `sockaddr_storage`.
        unsafe { *storage.view_as::<libc::sockaddr_storage>() = self.senders[at] };
        // SAFETY: the kernel wrote an address of so many bytes there, or it is all zero with length 0.
        unsafe { SockAddr::new(storage, self.sender_bytes[at]) }.as_socket()
    }

    /// Queues a reply to the packet at a place: letters, then the packet's first `kept` bytes.
    pub fn reply(&mut self, at: usize, letters: &'a [u8], kept: usize) {
        self.replies.push(Queued { letters, at, kept });
    }

    /// Sends the replies from the nth on, as far as it goes without waiting.
    pub fn send(&mut self, socket: &UdpSocket, from: usize) -> Sent {
        let mut sent = Sent::default();
        let mut at = from;
        while at < self.replies.len() {
            let waiting = self.fill(at);
            match self.call(socket, Direction::Out, waiting) {
                Ok(taken) => {
                    sent.taken += taken;
                    at += taken;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    sent.stopped_at = Some(at);
                    break;
                }
                Err(_) => {
                    sent.refused += 1;
                    at += 1;
                }
            }
        }
        sent
    }

    /// Fills the headers in with the replies from the nth on; returns how many there are.
    fn fill(&mut self, from: usize) -> usize {
        let waiting = &self.replies[from..];
        for ((header, parts), reply) in self.headers.iter_mut().zip(&mut self.parts).zip(waiting) {
            let kept = &self.buffers[reply.at * ROOM..][..reply.kept];
            for (part, bytes) in parts.iter_mut().zip([reply.letters, kept]) {
                part.iov_base = bytes.as_ptr().cast_mut().cast();
                part.iov_len = bytes.len();
            }
            let header = &mut header.msg_hdr;
            header.msg_name = (&raw mut self.senders[reply.at]).cast();
            header.msg_namelen = self.sender_bytes[reply.at];
            header.msg_iov = parts.as_mut_ptr();
            header.msg_iovlen = 2;
        }
        waiting.len()
    }

    /// Moves packets as the first so many headers say, without waiting; returns how many went through.
    fn call(&mut self, socket: &UdpSocket, direction: Direction, packets: usize) -> io::Result<usize> {
        if self.many {
            match call_many(direction, socket, &mut self.headers[..packets]) {
                Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => self.many = false,
                other => return other,
            }
        }
        let header = &mut self.headers[0];
        let (fd, message) = (socket.as_raw_fd(), &raw mut header.msg_hdr);
        // SAFETY: the header was filled in with pointers into this batch and into letters that outlive it.
        let moved = unsafe {
            match direction {
                Direction::In => libc::recvmsg(fd, message, libc::MSG_DONTWAIT),
                Direction::Out => libc::sendmsg(fd, message, libc::MSG_DONTWAIT),
            }
        };
        header.msg_len = u32::try_from(moved).map_err(|_| io::Error::last_os_error())?;
        Ok(1)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "128 bytes")]
const NAME_BYTES: libc::socklen_t = size_of::<libc::sockaddr_storage>() as libc::socklen_t;

#[derive(Debug, Clone, Copy)]
enum Direction {
    In,
    Out,
}

/// `recvmmsg` or `sendmmsg`, without waiting; returns how many packets went through.
fn call_many(direction: Direction, socket: &UdpSocket, headers: &mut [libc::mmsghdr]) -> io::Result<usize> {
    let number = match direction {
        Direction::In => libc::SYS_recvmmsg,
        Direction::Out => libc::SYS_sendmmsg,
    };
    // The fifth argument is the time-out of recvmmsg; sendmmsg does not look at it.
    // SAFETY: the headers are as many as are told, and were filled in with pointers into the batch and into letters that outlive it.
    let result = unsafe {
        libc::syscall(
            number,
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            headers.len(),
            libc::MSG_DONTWAIT,
            std::ptr::null_mut::<libc::timespec>(),
        )
    };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
