//! The plan of a UDP load.

use std::time::Duration;

use crate::control::MAX_THREADS;
use crate::error::LoadError;
use crate::part::Part;
use protocol::load::Wait;

use super::packet::NUMBER_BYTES;

/// Maximum UDP payload over IPv4, bytes.
const MAX_SIZE: usize = 65_507;
/// Maximum number of packets of a stream; each takes 32 bytes in the packet log.
const MAX_PACKETS: u64 = 10_000_000;

/// The plan of a UDP load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UdpPlan {
    /// Number of measured packets.
    pub packets: u64,
    /// Payload size, bytes, including the 8-byte number.
    pub size: usize,
    /// Interval between packets; zero, allowed only with a window: full speed.
    pub pace: Duration,
    /// Maximum number of outstanding packets; `None`: open loop.
    pub window: Option<u32>,
    /// Time after which an unanswered packet is lost.
    pub timeout: Duration,
    /// Duration of the warm-up stream at the same pace; zero: none.
    pub warm_up: Duration,
    /// Time budget of the search for the fastest lossless pace; `None`: no search.
    pub search: Option<Duration>,
    /// The service's reply.
    pub reply: UdpReply,
    /// The part of the packets, and of the window, that this machine uses.
    pub part: Part,
    /// CPUs to pin to, one thread and socket each; empty: one thread, not pinned.
    pub cpus: Vec<usize>,
    /// Whether threads sleep.
    pub wait: Wait,
}

/// The service's reply to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UdpReply {
    /// This many letters `A`, then the number.
    Letters(usize),
    /// The packet itself.
    Echo,
}

impl UdpReply {
    /// The length of a correct reply to a packet of this size, bytes.
    #[must_use]
    pub const fn bytes(self, size: usize) -> usize {
        match self {
            Self::Letters(letters) => letters + NUMBER_BYTES,
            Self::Echo => size,
        }
    }
}

impl UdpPlan {
    /// A plan with 8-byte packets, a window of 64, no pace, no warm-up, a time-out of 1 s and replies of 1000 letters.
    #[must_use]
    pub const fn new(packets: u64) -> Self {
        Self {
            packets,
            size: NUMBER_BYTES,
            pace: Duration::ZERO,
            window: Some(64),
            timeout: Duration::from_secs(1),
            warm_up: Duration::ZERO,
            search: None,
            reply: UdpReply::Letters(1000),
            part: Part::WHOLE,
            cpus: Vec::new(),
            wait: Wait::Sleep,
        }
    }

    /// Number of threads, each with its own socket.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.cpus.len().max(1)
    }

    /// Checks the plan, independently of the machine.
    ///
    /// # Errors
    /// The first problem.
    pub fn check(&self) -> Result<(), LoadError> {
        if self.cpus.len() > MAX_THREADS {
            return Err(LoadError::Threads(self.cpus.len()));
        }
        let threads = self.threads() as u64;
        if self.part.count(self.packets) < threads || self.packets > MAX_PACKETS {
            return Err(LoadError::Packets {
                packets: self.packets,
                most: MAX_PACKETS,
            });
        }
        if !(NUMBER_BYTES..=MAX_SIZE).contains(&self.size) || self.reply.bytes(self.size) > MAX_SIZE {
            return Err(LoadError::PacketSize {
                size: self.size,
                reply: self.reply.bytes(self.size),
            });
        }
        match self.window {
            None if self.pace.is_zero() => Err(LoadError::Unpaced),
            Some(window) if self.part.count(window.into()) < threads => Err(LoadError::Unpaced),
            _ if self.timeout.is_zero() => Err(LoadError::Time {
                name: "the time-out",
                value: self.timeout,
                must: "positive",
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_plans_are_refused() {
        let good = UdpPlan::new(1000);
        good.check().unwrap();
        let bad = |change: fn(&mut UdpPlan)| {
            let mut plan = good.clone();
            change(&mut plan);
            plan.check().unwrap_err().to_string()
        };
        assert!(bad(|plan| plan.packets = 0).contains("packets"));
        assert!(bad(|plan| plan.size = 7).contains("7 bytes"));
        assert!(bad(|plan| plan.reply = UdpReply::Letters(65_500)).contains("65508"));
        assert!(bad(|plan| plan.window = None).contains("pace"));
        assert!(bad(|plan| plan.window = Some(0)).contains("window"));
        assert!(bad(|plan| plan.timeout = Duration::ZERO).contains("time-out"));
        assert!(bad(|plan| plan.cpus = (0..65).collect()).contains("64"));
    }
}
