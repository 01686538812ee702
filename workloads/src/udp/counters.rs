//! The service's counters, and the reply that reports them.
//!
//! The reply to a packet that starts with `STAT` is the packet's first 12 bytes, then lines of `name value`:
//!
//! | name | meaning |
//! |---|---|
//! | received | packets read, without `STAT` requests |
//! | answered | replies sent |
//! | unsent | replies that failed to send |
//! | dropped | packets dropped by the kernel because a receive buffer was full or a checksum wrong; omitted where the system does not report it (`SO_MEMINFO`) |
//! | receive_buffer | size of each socket's receive buffer in bytes, as reported by the kernel |
//! | sockets | number of sockets on the port |

use std::fmt::Write;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

use socket2::SockRef;

/// How many bytes of a `STAT` request its reply repeats: the word and 8 bytes that identify the request.
pub const STAT_ECHO_BYTES: usize = 12;
/// Index of the drops in `SO_MEMINFO` (`SK_MEMINFO_DROPS`).
const MEMINFO_DROPS: usize = 8;
/// Number of values in `SO_MEMINFO` (`SK_MEMINFO_VARS`).
const MEMINFO_VARS: usize = 9;

/// The counters of one socket, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct SocketCounters {
    received: AtomicU64,
    answered: AtomicU64,
    unsent: AtomicU64,
}

impl SocketCounters {
    /// Adds a batch. Only the socket's own thread writes, so no atomic read-modify-write is needed.
    pub(super) fn add(&self, received: u64, answered: u64, unsent: u64) {
        for (counter, increment) in [
            (&self.received, received),
            (&self.answered, answered),
            (&self.unsent, unsent),
        ] {
            counter.store(counter.load(Ordering::Relaxed) + increment, Ordering::Relaxed);
        }
    }
}

/// The sockets of the service and their counters, shared by all threads.
#[derive(Debug)]
pub struct Counters<'a> {
    sockets: &'a [UdpSocket],
    by_socket: Vec<SocketCounters>,
}

impl<'a> Counters<'a> {
    /// All counters at zero.
    #[must_use]
    pub fn new(sockets: &'a [UdpSocket]) -> Self {
        Self {
            sockets,
            by_socket: sockets.iter().map(|_| SocketCounters::default()).collect(),
        }
    }

    pub(super) fn socket(&self, index: usize) -> &'a UdpSocket {
        &self.sockets[index]
    }

    pub(super) fn of_socket(&self, index: usize) -> &SocketCounters {
        &self.by_socket[index]
    }

    /// The reply to a `STAT` request.
    pub(super) fn report(&self, request: &[u8]) -> Vec<u8> {
        let sum = |counter: fn(&SocketCounters) -> &AtomicU64| -> u64 {
            self.by_socket
                .iter()
                .map(|counters| counter(counters).load(Ordering::Relaxed))
                .sum()
        };
        let mut text = String::new();
        let mut line = |name: &str, value: u64| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name} {value}");
        };
        line("received", sum(|counters| &counters.received));
        line("answered", sum(|counters| &counters.answered));
        line("unsent", sum(|counters| &counters.unsent));
        if let Some(dropped) = self.dropped() {
            line("dropped", dropped);
        }
        if let Some(Ok(bytes)) = self
            .sockets
            .first()
            .map(|socket| SockRef::from(socket).recv_buffer_size())
        {
            line("receive_buffer", bytes as u64);
        }
        line("sockets", self.sockets.len() as u64);
        let mut reply = request[..request.len().min(STAT_ECHO_BYTES)].to_vec();
        reply.extend_from_slice(text.as_bytes());
        reply
    }

    fn dropped(&self) -> Option<u64> {
        self.sockets.iter().map(|socket| drops(socket.as_raw_fd())).sum()
    }
}

/// Packets that the kernel dropped at a socket since it was opened; `None` if not supported (before Linux 4.12, OSv).
#[expect(unsafe_code, reason = "SO_MEMINFO has no safe form in socket2")]
fn drops(socket: RawFd) -> Option<u64> {
    let mut values = [0_u32; MEMINFO_VARS];
    let mut length = libc::socklen_t::try_from(size_of_val(&values)).ok()?;
    // SAFETY: `values` has `length` bytes, and both outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            values.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    let returned = usize::try_from(length).ok()? / size_of::<u32>();
    (result == 0 && returned > MEMINFO_DROPS).then(|| values[MEMINFO_DROPS].into())
}
