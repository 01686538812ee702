//! The packet format, and the reply to a packet.
//!
//! ```text
//! request   number (8 bytes, chosen by the client) | anything
//! reply     N times 'A'                            | the request's first 8 bytes (or fewer, if it is shorter)
//! ```
//!
//! A request that starts with `LAST` is echoed, as in the thesis (listing 4.6), whose client ends with it. A request
//! that starts with [`STAT`] is not part of the load; its reply reports the counters ([`super::counters`]).

/// Maximum size of a UDP packet over IPv4 in bytes: 65,535 less the two headers.
pub const MAX_PACKET: usize = 65_507;

/// Size of the number at the start of a request, in bytes.
pub const NUMBER_BYTES: usize = 8;

/// Start of a request for the counters.
pub const STAT: &[u8] = b"STAT";

/// Start of the last packet of the thesis' client.
const LAST: &[u8] = b"LAST";

/// How the service replies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyMode {
    /// With these letters, then the packet's number.
    Letters(Vec<u8>),
    /// With the packet itself.
    Echo,
}

/// The reply to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply<'a> {
    /// These letters, then this many bytes from the start of the packet.
    Bytes(&'a [u8], usize),
    /// The counters.
    Counters,
}

impl ReplyMode {
    /// The reply to a packet.
    #[must_use]
    pub fn reply(&self, packet: &[u8]) -> Reply<'_> {
        if packet.starts_with(STAT) {
            return Reply::Counters;
        }
        match self {
            Self::Letters(letters) if !packet.starts_with(LAST) => {
                Reply::Bytes(letters, packet.len().min(NUMBER_BYTES))
            }
            _ => Reply::Bytes(&[], packet.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_follows_the_letters() {
        let mode = ReplyMode::Letters(vec![b'A'; 3]);
        assert_eq!(mode.reply(b"12345678rest"), Reply::Bytes(b"AAA", 8));
        assert_eq!(mode.reply(b"7\0"), Reply::Bytes(b"AAA", 2));
        assert_eq!(mode.reply(b""), Reply::Bytes(b"AAA", 0));
    }

    #[test]
    fn last_and_echo_return_the_packet() {
        assert_eq!(ReplyMode::Letters(vec![b'A'; 3]).reply(b"LAST\0"), Reply::Bytes(b"", 5));
        assert_eq!(ReplyMode::Echo.reply(b"anything at all"), Reply::Bytes(b"", 15));
    }

    #[test]
    fn stat_works_in_every_mode() {
        assert_eq!(ReplyMode::Echo.reply(b"STAT1234"), Reply::Counters);
        assert_eq!(ReplyMode::Letters(vec![]).reply(b"STAT"), Reply::Counters);
    }
}
