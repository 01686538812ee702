//! Receives and sends many packets per system call.
//!
//! `recvmmsg` and `sendmmsg` are called by number. A system without them returns ENOSYS, and the service falls back
//! to `recvmsg` and `sendmsg`; a program linked against their symbols would not start there (OSv).

#![expect(unsafe_code, reason = "recvmmsg and sendmmsg have no safe form in std or socket2")]

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use socket2::{SockAddr, SockAddrStorage};

use super::packet::MAX_PACKET;

/// Buffer size per packet: the largest packet, rounded up to whole pages. Only the pages that packets reach are touched.
const BUFFER: usize = MAX_PACKET.next_multiple_of(4096);

/// Received packets and the replies to them.
#[derive(Debug)]
pub struct Batch<'a> {
    buffers: Box<[u8]>,
    senders: Box<[libc::sockaddr_storage]>,
    sender_bytes: Box<[libc::socklen_t]>,
    /// Length of each received packet.
    lengths: Box<[usize]>,
    replies: Vec<QueuedReply<'a>>,
    /// Message headers and I/O vectors, filled in before each call.
    headers: Box<[libc::mmsghdr]>,
    parts: Box<[[libc::iovec; 2]]>,
    /// Whether to use `recvmmsg` and `sendmmsg`.
    multi: bool,
}

/// A reply to the packet at index `at`: letters, then the first `echoed` bytes of the packet.
#[derive(Debug, Clone, Copy)]
struct QueuedReply<'a> {
    letters: &'a [u8],
    at: usize,
    echoed: usize,
}

/// Result of [`Batch::send`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SendResult {
    /// Replies sent.
    pub sent: usize,
    /// Replies that failed to send.
    pub failed: usize,
    /// Index of the first reply that would block; `None` if none did.
    pub blocked_at: Option<usize>,
}

impl<'a> Batch<'a> {
    /// A batch of `packets` packets; 1 uses the system calls for single packets.
    pub fn new(packets: usize) -> Self {
        // SAFETY: all-zero is a valid value of these C structs: null pointers with length 0, no address.
        let (header, part, sender): (libc::mmsghdr, libc::iovec, libc::sockaddr_storage) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed(), std::mem::zeroed()) };
        Self {
            buffers: vec![0; packets * BUFFER].into(),
            senders: vec![sender; packets].into(),
            sender_bytes: vec![0; packets].into(),
            lengths: vec![0; packets].into(),
            replies: Vec::with_capacity(packets),
            headers: vec![header; packets].into(),
            parts: vec![[part; 2]; packets].into(),
            multi: packets > 1,
        }
    }

    /// Maximum number of packets.
    pub fn capacity(&self) -> usize {
        self.lengths.len()
    }

    /// Receives the available packets without blocking and returns their number. Discards the previous packets and
    /// replies.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.replies.clear();
        let slots = self.buffers.chunks_exact_mut(BUFFER).zip(&mut self.senders);
        for ((header, parts), (buffer, sender)) in self.headers.iter_mut().zip(&mut self.parts).zip(slots) {
            parts[0].iov_base = buffer.as_mut_ptr().cast();
            parts[0].iov_len = buffer.len();
            let header = &mut header.msg_hdr;
            header.msg_name = (&raw mut *sender).cast();
            header.msg_namelen = NAME_BYTES;
            header.msg_iov = parts.as_mut_ptr();
            header.msg_iovlen = 1;
        }
        let capacity = self.capacity();
        let received = self.call(socket, Direction::Receive, capacity)?;
        for at in 0..received {
            self.lengths[at] = usize::try_from(self.headers[at].msg_len).unwrap_or(0).min(BUFFER);
            self.sender_bytes[at] = self.headers[at].msg_hdr.msg_namelen;
        }
        Ok(received)
    }

    /// A received packet.
    pub fn packet(&self, at: usize) -> &[u8] {
        &self.buffers[at * BUFFER..][..self.lengths[at]]
    }

    /// The sender of a received packet; `None` if the address is neither IPv4 nor IPv6.
    pub fn sender(&self, at: usize) -> Option<SocketAddr> {
        let mut storage = SockAddrStorage::zeroed();
        // SAFETY: both are `sockaddr_storage`.
        unsafe { *storage.view_as::<libc::sockaddr_storage>() = self.senders[at] };
        // SAFETY: the kernel wrote an address of this length, or it is all zero with length 0.
        unsafe { SockAddr::new(storage, self.sender_bytes[at]) }.as_socket()
    }

    /// Queues a reply to a received packet: letters, then the first `echoed` bytes of the packet.
    pub fn queue_reply(&mut self, at: usize, letters: &'a [u8], echoed: usize) {
        self.replies.push(QueuedReply { letters, at, echoed });
    }

    /// Sends the queued replies starting at index `from`, until it would block.
    pub fn send(&mut self, socket: &UdpSocket, from: usize) -> SendResult {
        let mut result = SendResult::default();
        let mut at = from;
        while at < self.replies.len() {
            let count = self.fill(at);
            match self.call(socket, Direction::Send, count) {
                Ok(sent) => {
                    result.sent += sent;
                    at += sent;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    result.blocked_at = Some(at);
                    break;
                }
                Err(_) => {
                    result.failed += 1;
                    at += 1;
                }
            }
        }
        result
    }

    /// Fills in the headers with the replies starting at index `from`; returns their number.
    fn fill(&mut self, from: usize) -> usize {
        let replies = &self.replies[from..];
        for ((header, parts), reply) in self.headers.iter_mut().zip(&mut self.parts).zip(replies) {
            let echoed = &self.buffers[reply.at * BUFFER..][..reply.echoed];
            for (part, bytes) in parts.iter_mut().zip([reply.letters, echoed]) {
                part.iov_base = bytes.as_ptr().cast_mut().cast();
                part.iov_len = bytes.len();
            }
            let header = &mut header.msg_hdr;
            header.msg_name = (&raw mut self.senders[reply.at]).cast();
            header.msg_namelen = self.sender_bytes[reply.at];
            header.msg_iov = parts.as_mut_ptr();
            header.msg_iovlen = 2;
        }
        replies.len()
    }

    /// Transfers the packets of the first `packets` headers without blocking; returns their number.
    fn call(&mut self, socket: &UdpSocket, direction: Direction, packets: usize) -> io::Result<usize> {
        if self.multi {
            match call_multi(direction, socket, &mut self.headers[..packets]) {
                Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => self.multi = false,
                other => return other,
            }
        }
        let header = &mut self.headers[0];
        let (fd, message) = (socket.as_raw_fd(), &raw mut header.msg_hdr);
        // SAFETY: the header contains pointers into this batch and to letters that outlive it.
        let bytes = unsafe {
            match direction {
                Direction::Receive => libc::recvmsg(fd, message, libc::MSG_DONTWAIT),
                Direction::Send => libc::sendmsg(fd, message, libc::MSG_DONTWAIT),
            }
        };
        header.msg_len = u32::try_from(bytes).map_err(|_| io::Error::last_os_error())?;
        Ok(1)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "128 bytes")]
const NAME_BYTES: libc::socklen_t = size_of::<libc::sockaddr_storage>() as libc::socklen_t;

#[derive(Debug, Clone, Copy)]
enum Direction {
    Receive,
    Send,
}

/// `recvmmsg` or `sendmmsg` without blocking; returns the number of packets transferred.
fn call_multi(direction: Direction, socket: &UdpSocket, headers: &mut [libc::mmsghdr]) -> io::Result<usize> {
    let number = match direction {
        Direction::Receive => libc::SYS_recvmmsg,
        Direction::Send => libc::SYS_sendmmsg,
    };
    // The fifth argument is the timeout of recvmmsg; sendmmsg ignores it.
    // SAFETY: the length matches the headers, which contain pointers into the batch and to letters that outlive it.
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
