//! Numbers and bytes of packets.
//!
//! The number of a packet is 8 bytes, the most significant first: 16 bits that tell the stream, then 48 bits that count its packets from 0.

use super::plan::UdpReply;

/// Bytes of a number.
pub const NUMBER_BYTES: usize = 8;

/// Bits of the count.
const COUNT_BITS: u32 = 48;

/// What a reply is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// The right reply to this packet of the stream.
    Right(u64),
    /// A reply to this packet of the stream whose length or bytes are wrong.
    Wrong(u64),
    /// A packet of another stream, or no reply at all.
    Stray,
}

/// The number of a packet.
#[must_use]
pub const fn number(tag: u16, count: u64) -> [u8; NUMBER_BYTES] {
    (((tag as u64) << COUNT_BITS) | count).to_be_bytes()
}

/// Reads a reply to a packet of `size` bytes whose bytes behind the number are zero. `length` is what came, of which `bytes` may be only
/// the beginning.
#[must_use]
pub fn read(bytes: &[u8], length: usize, size: usize, reply: UdpReply, tag: u16) -> Read {
    let right = length == reply.bytes(size) && length == bytes.len();
    let (number, rest, filler) = match reply {
        UdpReply::Letters(_) => {
            let Some((letters, number)) = bytes.split_last_chunk() else {
                return Read::Stray;
            };
            (*number, letters, b'A')
        }
        UdpReply::Echo => {
            let Some((number, rest)) = bytes.split_first_chunk() else {
                return Read::Stray;
            };
            (*number, rest, 0)
        }
    };
    let number = u64::from_be_bytes(number);
    if number >> COUNT_BITS != u64::from(tag) {
        return Read::Stray;
    }
    let count = number & ((1 << COUNT_BITS) - 1);
    // Without an early end the loop runs on whole vector registers.
    if right && rest.iter().fold(0, |odd, byte| odd | (byte ^ filler)) == 0 {
        Read::Right(count)
    } else {
        Read::Wrong(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn letters(count: usize, tag: u16, nth: u64) -> Vec<u8> {
        [&vec![b'A'; count][..], &number(tag, nth)].concat()
    }

    #[test]
    fn right_wrong_and_stray_are_told_apart() {
        let reply = UdpReply::Letters(5);
        let read = |bytes: &[u8]| read(bytes, bytes.len(), 8, reply, 7);
        let right = letters(5, 7, 99);
        assert_eq!(read(&right), Read::Right(99));
        let mut wrong = right.clone();
        wrong[2] = b'B';
        assert_eq!(read(&wrong), Read::Wrong(99));
        assert_eq!(read(&letters(4, 7, 99)), Read::Wrong(99));
        assert_eq!(read(&letters(5, 8, 99)), Read::Stray);
        assert_eq!(read(b"short"), Read::Stray);
        assert_eq!(super::read(&right, 14, 8, reply, 7), Read::Wrong(99));
    }

    #[test]
    fn an_echo_is_the_packet() {
        let packet = [&number(7, 3)[..], &[0; 4]].concat();
        assert_eq!(read(&packet, 12, 12, UdpReply::Echo, 7), Read::Right(3));
        assert_eq!(read(&packet[..11], 11, 12, UdpReply::Echo, 7), Read::Wrong(3));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..40), length in 0_usize..60, size in 8_usize..30, echo: bool, tag: u16) {
            let reply = if echo { UdpReply::Echo } else { UdpReply::Letters(size) };
            let _ = read(&bytes, length, size, reply, tag);
        }
    }
}
