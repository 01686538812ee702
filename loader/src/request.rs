//! The record of a request.

use super::error::ErrorKind;

/// The record of one request. Times are ns from the start of the run; the [crate documentation](super) defines them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Scheduled time.
    pub intended_ns: u64,
    /// When it was sent; `None`: never.
    pub sent_ns: Option<u64>,
    /// When its connection was established; `None`: never, or the connection was already open.
    pub connected_ns: Option<u64>,
    /// When the first bytes of the reply had been read.
    pub first_byte_ns: Option<u64>,
    /// When it completed or failed.
    pub done_ns: u64,
    /// Index of its label.
    pub label: u16,
    /// Status of the reply, 0 without one.
    pub status: u16,
    /// Bytes read, including headers; stored as at most 4 GiB - 1.
    pub bytes_in: u64,
    /// Bytes written; stored as at most 4 GiB - 1.
    pub bytes_out: u64,
    /// Number of its connection, from 0 in each thread.
    pub connection: u32,
    /// Number of its thread.
    pub thread: u8,
    /// Outstanding requests of its thread when it ended, including itself; 0 if it was never sent.
    pub in_flight: u32,
    /// The error, if it failed.
    pub error: Option<ErrorKind>,
    /// Whether it was scheduled before the measurement window.
    pub warm_up: bool,
}

/// Size of an encoded request, bytes.
pub const BYTES: usize = 64;

/// Encodes an absent time.
const NEVER: u64 = u64::MAX;
const NO_ERROR: u8 = u8::MAX;

impl Request {
    /// Response time: done - intended, ns.
    #[must_use]
    pub const fn response_ns(&self) -> u64 {
        self.done_ns.saturating_sub(self.intended_ns)
    }

    /// Service time: done - sent, ns.
    #[must_use]
    pub fn service_ns(&self) -> Option<u64> {
        self.sent_ns.map(|sent| self.done_ns.saturating_sub(sent))
    }

    /// Lag of the generator: sent - intended, ns.
    #[must_use]
    pub fn lag_ns(&self) -> Option<u64> {
        self.sent_ns.map(|sent| sent.saturating_sub(self.intended_ns))
    }

    /// Connect time: connected - sent, ns.
    #[must_use]
    pub fn connect_ns(&self) -> Option<u64> {
        Some(self.connected_ns?.saturating_sub(self.sent_ns?))
    }

    /// The same with all times shifted, and optionally as warm-up.
    pub(super) fn shifted(self, by_ns: u64, warm_up: bool) -> Self {
        let later = |ns: u64| ns.saturating_add(by_ns);
        Self {
            intended_ns: later(self.intended_ns),
            sent_ns: self.sent_ns.map(later),
            connected_ns: self.connected_ns.map(later),
            first_byte_ns: self.first_byte_ns.map(later),
            done_ns: later(self.done_ns),
            warm_up: self.warm_up || warm_up,
            ..self
        }
    }

    /// The same with another thread number.
    pub(super) const fn of_thread(self, thread: u8) -> Self {
        Self { thread, ..self }
    }

    /// Encodes it for the request log and for transfer from a loader; a change of the encoding changes the protocol.
    pub(super) fn to_bytes(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        let times = [
            self.intended_ns,
            self.sent_ns.unwrap_or(NEVER),
            self.connected_ns.unwrap_or(NEVER),
            self.first_byte_ns.unwrap_or(NEVER),
            self.done_ns,
        ];
        for (field, time) in bytes.chunks_exact_mut(8).zip(times) {
            field.copy_from_slice(&time.to_le_bytes());
        }
        let counts = [
            u32::try_from(self.bytes_in).unwrap_or(u32::MAX),
            u32::try_from(self.bytes_out).unwrap_or(u32::MAX),
            self.connection,
            self.in_flight,
        ];
        for (field, count) in bytes[40..].chunks_exact_mut(4).zip(counts) {
            field.copy_from_slice(&count.to_le_bytes());
        }
        bytes[56..58].copy_from_slice(&self.label.to_le_bytes());
        bytes[58..60].copy_from_slice(&self.status.to_le_bytes());
        bytes[60] = self.error.map_or(NO_ERROR, |kind| kind as u8);
        bytes[61] = self.thread;
        bytes[62] = u8::from(self.warm_up);
        bytes
    }

    /// Decodes [`Request::to_bytes`].
    pub(super) fn from_bytes(bytes: &[u8; BYTES]) -> Self {
        let time = |index: usize| number(&bytes[index * 8..][..8]);
        let optional = |ns| (ns != NEVER).then_some(ns);
        let count = |index: usize| number(&bytes[40 + index * 4..][..4]);
        Self {
            intended_ns: time(0),
            sent_ns: optional(time(1)),
            connected_ns: optional(time(2)),
            first_byte_ns: optional(time(3)),
            done_ns: time(4),
            label: u16::from_le_bytes([bytes[56], bytes[57]]),
            status: u16::from_le_bytes([bytes[58], bytes[59]]),
            bytes_in: count(0),
            bytes_out: count(1),
            connection: u32::try_from(count(2)).unwrap_or(u32::MAX),
            in_flight: u32::try_from(count(3)).unwrap_or(u32::MAX),
            error: ErrorKind::ALL.get(usize::from(bytes[60])).copied(),
            thread: bytes[61],
            warm_up: bytes[62] != 0,
        }
    }
}

/// Decodes a little-endian number of at most 8 bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::requests;

    /// Requests of other releases would be misread if this changed.
    #[test]
    fn the_encoding_is_stable() {
        let request = Request {
            intended_ns: 1,
            sent_ns: Some(2),
            connected_ns: None,
            first_byte_ns: Some(3),
            done_ns: 4,
            label: 5,
            status: 200,
            bytes_in: 7,
            bytes_out: 8,
            connection: 9,
            thread: 10,
            in_flight: 11,
            error: Some(ErrorKind::Timeout),
            warm_up: true,
        };
        let bytes: String = request.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let times = "01000000000000000200000000000000ffffffffffffffff03000000000000000400000000000000";
        assert_eq!(
            bytes,
            format!("{times}07000000080000000900000 00b0000000500c800050a0100").replace(' ', "")
        );
    }

    proptest! {
        #[test]
        fn requests_round_trip(request in requests()) {
            prop_assert_eq!(Request::from_bytes(&request.to_bytes()), request);
        }
    }
}
