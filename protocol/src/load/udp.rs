//! What comes of a stream of packets.

use serde::{Deserialize, Serialize};

/// The packets of the measured stream, and what was counted along their way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UdpFigures {
    /// The measured stream, as its sender saw it.
    pub stream: StreamFigures,
    /// The receive buffer of each of the sender's sockets, bytes as the kernel counts them.
    pub receive_buffer: u64,
    /// What the kernel of the sender's host counted meanwhile, for all sockets of its network; `None`: it does not tell.
    pub host: Option<HostCounters>,
    /// What the service counted meanwhile; `None`: it does not tell.
    pub service: Option<ServiceCounters>,
    /// The fastest pace without loss; `None`: it was not looked for.
    pub search: Option<SearchFigures>,
}

/// A stream as its sender saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamFigures {
    /// Packets that the kernel took.
    pub sent: u64,
    /// Packets that were answered rightly and in time.
    pub received: u64,
    /// Packets that were not answered in time.
    pub lost: u64,
    /// Those of the lost whose reply came after all.
    pub late: u64,
    /// Packets that the kernel refused to take.
    pub unsent: u64,
    /// Replies to packets that had been answered before.
    pub duplicates: u64,
    /// First replies behind that to a packet with a higher number of the same flow (RFC 4737, section 3).
    pub reordered: u64,
    /// How far, in packets, the latest of them lay behind the highest number.
    pub furthest_behind: u64,
    /// Replies with a wrong length or wrong bytes.
    pub wrong: u64,
    /// Packets that were no reply to this stream.
    pub stray: u64,
    /// All packets that were read: received, late, wrong, duplicates and stray.
    pub read: u64,
    /// Times that the service's host said that nothing listens there.
    pub refused: u64,
    /// Packets that the kernel dropped at the sender's sockets; `None`: it does not tell.
    pub dropped: Option<u64>,
    /// From the first packet sent to the last reply in time, ns: the time of Czipri's figures.
    pub total_ns: u64,
    /// From the first packet sent to the last one sent, ns.
    pub sending_ns: u64,
}

/// What a service of the workload `udp` counted. Differences over the measured stream, but for the last two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceCounters {
    /// Packets that it read.
    pub received: u64,
    /// Replies that its system took.
    pub answered: u64,
    /// Replies that its system refused.
    pub unsent: u64,
    /// Packets that the kernel dropped at its sockets; `None`: it does not tell.
    pub dropped: Option<u64>,
    /// Bytes of each socket's receive buffer.
    pub receive_buffer: u64,
    /// Its sockets.
    pub sockets: u64,
}

/// What the kernel counts of UDP over IPv4 for all sockets of a network (`/proc/net/snmp`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostCounters {
    /// `RcvbufErrors`: packets that found a receive buffer full.
    pub receive_buffer_errors: u64,
    /// `SndbufErrors`: packets that found no memory to be sent from.
    pub send_buffer_errors: u64,
    /// `InCsumErrors`: packets with a wrong checksum.
    pub checksum_errors: u64,
    /// `NoPorts`: packets to a port where nothing listens.
    pub no_ports: u64,
}

impl HostCounters {
    /// What was counted since.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self {
            receive_buffer_errors: self.receive_buffer_errors.saturating_sub(before.receive_buffer_errors),
            send_buffer_errors: self.send_buffer_errors.saturating_sub(before.send_buffer_errors),
            checksum_errors: self.checksum_errors.saturating_sub(before.checksum_errors),
            no_ports: self.no_ports.saturating_sub(before.no_ports),
        }
    }
}

impl ServiceCounters {
    /// What was counted since an earlier answer.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            received: self.received.saturating_sub(before.received),
            answered: self.answered.saturating_sub(before.answered),
            unsent: self.unsent.saturating_sub(before.unsent),
            dropped: self
                .dropped
                .zip(before.dropped)
                .map(|(now, before)| now.saturating_sub(before)),
            ..*self
        }
    }
}

impl UdpFigures {
    /// Packets that vanished between the sender and the service's sockets, less those that were doubled there; `None`: nobody counted.
    #[must_use]
    pub fn missing_there(&self) -> Option<i64> {
        let service = self.service?;
        Some(difference(self.stream.sent, service.received + service.dropped?))
    }

    /// Replies that vanished between the service and the sender's sockets, less those that were doubled there; `None`: nobody counted.
    #[must_use]
    pub fn missing_back(&self) -> Option<i64> {
        let stream = &self.stream;
        Some(difference(self.service?.answered, stream.read + stream.dropped?))
    }
}

fn difference(more: u64, less: u64) -> i64 {
    i64::try_from(i128::from(more) - i128::from(less)).unwrap_or(i64::MAX)
}

/// What the search for the fastest pace without loss found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchFigures {
    /// The fastest pace that lost nothing, ns between two packets; `None`: none was found.
    pub pace_ns: Option<u64>,
    /// Why it is not faster.
    pub limit: SearchLimit,
    /// Every stream of the search, in order.
    pub steps: Vec<SearchStep>,
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SearchLimit {
    /// A slightly faster pace loses packets.
    Loss,
    /// The generator cannot send faster: the platform may bear more.
    Generator,
    /// The time for the search was over: the platform may bear more.
    Time,
}

/// One stream of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchStep {
    /// The pace that was ordered, ns.
    pub pace_ns: u64,
    /// Packets that were sent.
    pub sent: u64,
    /// Packets that were lost, refused or answered wrongly.
    pub lost: u64,
    /// Packets that the kernel dropped at the sender's sockets.
    pub dropped: Option<u64>,
    /// From the first packet sent to the last one sent, ns.
    pub sending_ns: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_told_apart_by_where_it_was() {
        let figures = UdpFigures {
            stream: StreamFigures {
                sent: 1000,
                received: 900,
                lost: 100,
                duplicates: 5,
                read: 905,
                dropped: Some(10),
                ..StreamFigures::default()
            },
            receive_buffer: 1,
            host: None,
            service: Some(ServiceCounters {
                received: 950,
                answered: 949,
                unsent: 1,
                dropped: Some(30),
                receive_buffer: 1,
                sockets: 1,
            }),
            search: None,
        };
        assert_eq!(figures.missing_there(), Some(20));
        assert_eq!(figures.missing_back(), Some(34));
        let silent = UdpFigures {
            service: None,
            ..figures
        };
        assert_eq!((silent.missing_there(), silent.missing_back()), (None, None));
    }
}
