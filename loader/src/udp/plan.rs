//! What a stream of packets is ordered to be.

use std::time::Duration;

use crate::control::MAX_THREADS;
use crate::error::LoadError;
use crate::part::Part;
use protocol::load::Wait;

use super::packet::NUMBER_BYTES;

/// The largest packet of UDP over IPv4, bytes.
pub const LARGEST: usize = 65_507;
/// Most packets of a stream: the book of a packet takes 32 bytes.
pub const MOST_PACKETS: u64 = 10_000_000;

/// A stream of packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UdpPlan {
    /// How many are measured.
    pub packets: u64,
    /// The bytes of each; the number takes the first 8.
    pub size: usize,
    /// The distance of two packets; zero only with a window: as fast as it goes.
    pub pace: Duration,
    /// Packets under way at most; `None`: an open loop, which nothing holds back.
    pub window: Option<u32>,
    /// A packet that is not answered so long after it was sent is lost.
    pub timeout: Duration,
    /// For so long packets go out at the same pace before, and are not measured; zero: none.
    pub warm_up: Duration,
    /// How long the fastest pace without loss may be looked for afterwards; `None`: not at all.
    pub search: Option<Duration>,
    /// What the service answers.
    pub reply: UdpReply,
    /// Which of the packets, and of the places in the window, are this machine's.
    pub part: Part,
    /// Cores to pin to, one thread with a socket of its own each; empty: one thread that is not pinned.
    pub cpus: Vec<usize>,
    /// Whether threads sleep at all.
    pub wait: Wait,
}

/// What the service answers a packet with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UdpReply {
    /// So many letters A, then the number.
    Letters(usize),
    /// The packet itself.
    Echo,
}

impl UdpReply {
    /// The length of a right reply to a packet of this size, bytes.
    #[must_use]
    pub const fn bytes(self, size: usize) -> usize {
        match self {
            Self::Letters(letters) => letters + NUMBER_BYTES,
            Self::Echo => size,
        }
    }
}

impl UdpPlan {
    /// So many packets of 8 bytes, a window of 64, no pace, no warm-up, a time-out of a second, replies of 1000 letters.
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

    /// Threads the engine runs, each with a socket of its own.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.cpus.len().max(1)
    }

    /// Checks what can be said about the plan without looking at the machine.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), LoadError> {
        if self.cpus.len() > MAX_THREADS {
            return Err(LoadError::Threads(self.cpus.len()));
        }
        let threads = self.threads() as u64;
        if self.part.count(self.packets) < threads || self.packets > MOST_PACKETS {
            return Err(LoadError::Packets {
                packets: self.packets,
                most: MOST_PACKETS,
            });
        }
        if !(NUMBER_BYTES..=LARGEST).contains(&self.size) || self.reply.bytes(self.size) > LARGEST {
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
                must: "above 0",
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused() {
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
