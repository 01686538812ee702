//! What packets look like, and what a packet is answered with.
//!
//! ```text
//! request   number (8 bytes, any that the client likes) | anything
//! reply     N times 'A'                                 | the request's first 8 bytes (fewer, if it has fewer)
//! ```
//!
//! A request that begins with `LAST` comes back as it is, as in the thesis (listing 4.6), whose own client ends with it. One that begins with
//! [`ASK`] is no part of the load: it is answered with what the service has counted so far ([`super::counters`]).

/// The largest packet of UDP over IPv4, bytes: 65,535 less the two heads.
pub const LARGEST: usize = 65_507;

/// How many of a request's first bytes are its number.
pub const NUMBER_BYTES: usize = 8;

/// The beginning of a request for the counters.
pub const ASK: &[u8] = b"STAT";

/// The beginning of the thesis' last packet.
const LAST: &[u8] = b"LAST";

/// What the service answers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// These letters, and the packet's number behind them.
    Letters(Vec<u8>),
    /// The packet itself.
    Same,
}

/// The answer to one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<'a> {
    /// These letters, then so many bytes of the packet's beginning.
    Bytes(&'a [u8], usize),
    /// What was counted.
    Counters,
}

impl Reply {
    /// The answer to a packet.
    #[must_use]
    pub fn to(&self, packet: &[u8]) -> Answer<'_> {
        if packet.starts_with(ASK) {
            return Answer::Counters;
        }
        match self {
            Self::Letters(letters) if !packet.starts_with(LAST) => {
                Answer::Bytes(letters, packet.len().min(NUMBER_BYTES))
            }
            _ => Answer::Bytes(&[], packet.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_stands_behind_the_letters() {
        let reply = Reply::Letters(vec![b'A'; 3]);
        assert_eq!(reply.to(b"12345678rest"), Answer::Bytes(b"AAA", 8));
        assert_eq!(reply.to(b"7\0"), Answer::Bytes(b"AAA", 2));
        assert_eq!(reply.to(b""), Answer::Bytes(b"AAA", 0));
    }

    #[test]
    fn what_comes_back_as_it_is() {
        assert_eq!(Reply::Letters(vec![b'A'; 3]).to(b"LAST\0"), Answer::Bytes(b"", 5));
        assert_eq!(Reply::Same.to(b"anything at all"), Answer::Bytes(b"", 15));
    }

    #[test]
    fn the_counters_are_asked_for_in_every_mode() {
        assert_eq!(Reply::Same.to(b"STAT1234"), Answer::Counters);
        assert_eq!(Reply::Letters(vec![]).to(b"STAT"), Answer::Counters);
    }
}
