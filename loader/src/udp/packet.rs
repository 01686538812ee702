//! Encoding of packets and their replies.
//!
//! The number of a packet is 8 bytes, big-endian: a 16-bit tag of the stream, then a 48-bit count from 0.

use super::plan::UdpReply;

/// Size of a number, bytes.
pub const NUMBER_BYTES: usize = 8;

/// Bits of the count.
const COUNT_BITS: u32 = 48;

/// A received packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// The correct reply to the packet with this count.
    Correct(u64),
    /// A reply with incorrect length or content to the packet with this count.
    Wrong(u64),
    /// Not a reply to this stream.
    Stray,
}

/// Encodes the number of a packet.
#[must_use]
pub const fn number(tag: u16, count: u64) -> [u8; NUMBER_BYTES] {
    (((tag as u64) << COUNT_BITS) | count).to_be_bytes()
}

/// Decodes a reply to a packet of `size` bytes, which are zero after the number. `length` is the received length, of which `bytes` may be a prefix.
#[must_use]
pub fn read(bytes: &[u8], length: usize, size: usize, reply: UdpReply, tag: u16) -> Read {
    let is_complete = length == reply.bytes(size) && length == bytes.len();
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
    // Without an early exit the loop is vectorized.
    if is_complete && rest.iter().fold(0, |diff, byte| diff | (byte ^ filler)) == 0 {
        Read::Correct(count)
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
    fn correct_wrong_and_stray_replies_are_distinguished() {
        let reply = UdpReply::Letters(5);
        let read = |bytes: &[u8]| read(bytes, bytes.len(), 8, reply, 7);
        let correct = letters(5, 7, 99);
        assert_eq!(read(&correct), Read::Correct(99));
        let mut wrong = correct.clone();
        wrong[2] = b'B';
        assert_eq!(read(&wrong), Read::Wrong(99));
        assert_eq!(read(&letters(4, 7, 99)), Read::Wrong(99));
        assert_eq!(read(&letters(5, 8, 99)), Read::Stray);
        assert_eq!(read(b"short"), Read::Stray);
        assert_eq!(super::read(&correct, 14, 8, reply, 7), Read::Wrong(99));
    }

    #[test]
    fn an_echo_is_the_packet() {
        let packet = [&number(7, 3)[..], &[0; 4]].concat();
        assert_eq!(read(&packet, 12, 12, UdpReply::Echo, 7), Read::Correct(3));
        assert_eq!(read(&packet[..11], 11, 12, UdpReply::Echo, 7), Read::Wrong(3));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), length in 0_usize..60, size in 8_usize..30, echo: bool, tag: u16) {
            let reply = if echo { UdpReply::Echo } else { UdpReply::Letters(size) };
            let _ = read(&bytes, length, size, reply, tag);
        }
    }
}
