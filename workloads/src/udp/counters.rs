//! What the service counts, and how it tells.
//!
//! A packet that begins with `STAT` is answered with its own first 12 bytes, then lines of `name value`:
//!
//! | name | meaning |
//! |---|---|
//! | received | packets that were read, those that ask for the counters not among them |
//! | answered | replies that the system took |
//! | unsent | replies that it refused |
//! | dropped | packets that the kernel threw away because a socket's receive buffer was full, or because of a wrong checksum; left out where the system does not tell (`SO_MEMINFO`) |
//! | receive_buffer | bytes of each socket's receive buffer, as the kernel counts them |
//! | sockets | sockets on the port |

use std::fmt::Write;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

use socket2::SockRef;

/// How much of a request for the counters comes back with them: the word and 8 bytes that tell it from others.
pub const ASK_BYTES: usize = 12;
/// Place of the drops in what `SO_MEMINFO` tells (`SK_MEMINFO_DROPS`).
const DROPS: usize = 8;
/// Values that `SO_MEMINFO` tells (`SK_MEMINFO_VARS`).
const VALUES: usize = 9;

/// What one socket's thread has counted, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Lane {
    received: AtomicU64,
    answered: AtomicU64,
    unsent: AtomicU64,
}

impl Lane {
    /// Adds a batch. Only the lane's own thread writes, so that no other waits for it.
    pub(super) fn add(&self, received: u64, answered: u64, unsent: u64) {
        for (counter, more) in [
            (&self.received, received),
            (&self.answered, answered),
            (&self.unsent, unsent),
        ] {
            counter.store(counter.load(Ordering::Relaxed) + more, Ordering::Relaxed);
        }
    }
}

/// The sockets of the service and their lanes, seen by every thread.
#[derive(Debug)]
pub struct Shared<'a> {
    sockets: &'a [UdpSocket],
    lanes: Vec<Lane>,
}

impl<'a> Shared<'a> {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(sockets: &'a [UdpSocket]) -> Self {
        Self {
            sockets,
            lanes: sockets.iter().map(|_| Lane::default()).collect(),
        }
    }

    pub(super) fn socket(&self, place: usize) -> &'a UdpSocket {
        &self.sockets[place]
    }

    pub(super) fn lane(&self, place: usize) -> &Lane {
        &self.lanes[place]
    }

    /// The answer to a packet that asks for the counters.
    pub(super) fn tell(&self, ask: &[u8]) -> Vec<u8> {
        let sum = |counter: fn(&Lane) -> &AtomicU64| -> u64 {
            self.lanes
                .iter()
                .map(|lane| counter(lane).load(Ordering::Relaxed))
                .sum()
        };
        let mut text = String::new();
        let mut line = |name: &str, value: u64| {
            // Writing into a string cannot fail.
            let _ = writeln!(text, "{name} {value}");
        };
        line("received", sum(|lane| &lane.received));
        line("answered", sum(|lane| &lane.answered));
        line("unsent", sum(|lane| &lane.unsent));
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
        let mut answer = ask[..ask.len().min(ASK_BYTES)].to_vec();
        answer.extend_from_slice(text.as_bytes());
        answer
    }

    fn dropped(&self) -> Option<u64> {
        self.sockets.iter().map(|socket| drops(socket.as_raw_fd())).sum()
    }
}

/// Packets that the kernel dropped at a socket since it was opened; `None` where it does not tell (before Linux 4.12, OSv).
#[expect(unsafe_code, reason = "SO_MEMINFO has no safe form in socket2")]
fn drops(socket: RawFd) -> Option<u64> {
    let mut values = [0_u32; VALUES];
    let mut length = libc::socklen_t::try_from(size_of_val(&values)).ok()?;
    // SAFETY: `values` has room for `length` bytes and lives over the call, as `length` does.
    let result = unsafe {
        libc::getsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            values.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    let told = usize::try_from(length).ok()? / size_of::<u32>();
    (result == 0 && told > DROPS).then(|| values[DROPS].into())
}
