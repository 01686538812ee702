//! Results of a UDP load.

use serde::{Deserialize, Serialize};

/// Statistics of the measured stream, and the packet counters along its path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UdpStats {
    /// The measured stream from the sender's side.
    pub stream: StreamStats,
    /// Receive buffer of each of the sender's sockets, bytes as the kernel counts them.
    pub receive_buffer: u64,
    /// Kernel counters of the sender's host over all sockets of its network namespace; `None`: unavailable.
    pub host: Option<HostCounters>,
    /// The service's counters; `None`: unavailable.
    pub service: Option<ServiceCounters>,
    /// The search for the fastest lossless pace; `None`: there was no search.
    pub search: Option<SearchStats>,
}

/// A stream from the sender's side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamStats {
    /// Packets sent.
    pub sent: u64,
    /// Packets with a correct reply within the time-out.
    pub received: u64,
    /// Packets without a reply within the time-out.
    pub lost: u64,
    /// Lost packets whose reply arrived after the time-out.
    pub late: u64,
    /// Packets that the kernel did not accept.
    pub unsent: u64,
    /// Repeated replies to the same packet.
    pub duplicates: u64,
    /// First replies that arrived after the reply to a later packet of the same flow (RFC 4737, section 3).
    pub reordered: u64,
    /// The maximum reordering extent, packets.
    pub furthest_behind: u64,
    /// Replies with incorrect length or content.
    pub wrong: u64,
    /// Packets that are not replies to this stream.
    pub stray: u64,
    /// All packets read: received, late, wrong, duplicates and stray.
    pub read: u64,
    /// ICMP port unreachable errors.
    pub refused: u64,
    /// Packets dropped by the kernel at the sender's sockets; `None`: unavailable.
    pub dropped: Option<u64>,
    /// From the first packet sent to the last reply within its time-out, ns; the time that Czipri reports.
    pub total_ns: u64,
    /// From the first packet sent to the last packet sent, ns.
    pub sending_ns: u64,
}

/// Counters of a service of the workload `udp`: differences over the measured stream, except for the last two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceCounters {
    /// Packets received.
    pub received: u64,
    /// Replies sent.
    pub answered: u64,
    /// Replies that its operating system did not accept.
    pub unsent: u64,
    /// Packets dropped by the kernel at its sockets; `None`: unavailable.
    pub dropped: Option<u64>,
    /// Receive buffer of each socket, bytes.
    pub receive_buffer: u64,
    /// Number of sockets.
    pub sockets: u64,
}

/// Kernel counters of UDP over IPv4 for all sockets of a network namespace (`/proc/net/snmp`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostCounters {
    /// `RcvbufErrors`: packets dropped because the receive buffer was full.
    pub receive_buffer_errors: u64,
    /// `SndbufErrors`: packets not sent because the send buffer was full.
    pub send_buffer_errors: u64,
    /// `InCsumErrors`: packets with an incorrect checksum.
    pub checksum_errors: u64,
    /// `NoPorts`: packets to a closed port.
    pub no_ports: u64,
}

impl HostCounters {
    /// The difference to an earlier reading.
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
    /// The difference to an earlier reading.
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

impl UdpStats {
    /// Packets lost between the sender and the service's sockets, less packets duplicated there; `None`: no counters.
    #[must_use]
    pub fn lost_outbound(&self) -> Option<i64> {
        let service = self.service?;
        Some(difference(self.stream.sent, service.received + service.dropped?))
    }

    /// Replies lost between the service and the sender's sockets, less replies duplicated there; `None`: no counters.
    #[must_use]
    pub fn lost_inbound(&self) -> Option<i64> {
        let stream = &self.stream;
        Some(difference(self.service?.answered, stream.read + stream.dropped?))
    }
}

fn difference(a: u64, b: u64) -> i64 {
    i64::try_from(i128::from(a) - i128::from(b)).unwrap_or(i64::MAX)
}

/// The result of the search for the fastest lossless pace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchStats {
    /// The fastest lossless pace, ns between packets; `None`: none was found.
    pub pace_ns: Option<u64>,
    /// What limits it.
    pub limit: SearchLimit,
    /// All streams of the search, in order.
    pub steps: Vec<SearchStep>,
}

/// What limits the result of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SearchLimit {
    /// A slightly faster pace loses packets.
    Loss,
    /// The load generator cannot send faster; the platform may sustain more.
    Generator,
    /// The time budget ran out; the platform may sustain more.
    Time,
}

/// One stream of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchStep {
    /// The requested pace, ns between packets.
    pub pace_ns: u64,
    /// Packets sent.
    pub sent: u64,
    /// Packets that were lost, not accepted by the kernel or answered incorrectly.
    pub lost: u64,
    /// Packets dropped by the kernel at the sender's sockets.
    pub dropped: Option<u64>,
    /// From the first packet sent to the last packet sent, ns.
    pub sending_ns: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_attributed_to_its_direction() {
        let figures = UdpStats {
            stream: StreamStats {
                sent: 1000,
                received: 900,
                lost: 100,
                duplicates: 5,
                read: 905,
                dropped: Some(10),
                ..StreamStats::default()
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
        assert_eq!(figures.lost_outbound(), Some(20));
        assert_eq!(figures.lost_inbound(), Some(34));
        let silent = UdpStats {
            service: None,
            ..figures
        };
        assert_eq!((silent.lost_outbound(), silent.lost_inbound()), (None, None));
    }
}
