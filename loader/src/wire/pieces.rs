//! What is too long for one message: bytes by zlib and base64, a piece a message.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use crate::jung::reply::Commanded;

/// Requests in a piece: half a MiB, which even where nothing of it can be compressed is a message below the limit.
pub const REQUESTS: usize = 8192;

/// Accepted commands in a piece.
pub const COMMANDS: usize = 4096;

/// The most bytes of a piece, whatever a message claims.
const MOST: u64 = 1 << 20;

/// A piece as text. Quick rather than small: the network of a lab is faster than zlib.
///
/// # Errors
/// The library's; it does not happen in memory.
pub fn pack(bytes: &[u8]) -> std::io::Result<String> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    Ok(STANDARD.encode(encoder.finish()?))
}

/// The bytes of a piece.
///
/// # Errors
/// What is wrong with it, in words.
pub fn unpack(text: &str) -> Result<Vec<u8>, String> {
    let packed = STANDARD.decode(text).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let mut decoder = ZlibDecoder::new(packed.as_slice()).take(MOST + 1);
    decoder.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MOST {
        return Err(format!("it has more than {MOST} bytes"));
    }
    Ok(bytes)
}

/// Accepted commands as lines.
///
/// # Errors
/// The library's; it does not happen.
pub fn commands_to_lines(commands: &[Commanded]) -> serde_json::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for command in commands {
        serde_json::to_writer(&mut lines, command)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// The commands of such lines.
///
/// # Errors
/// What is wrong with a line.
pub fn commands_of_lines(bytes: &[u8]) -> serde_json::Result<Vec<Commanded>> {
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(serde_json::from_slice).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
            prop_assert_eq!(unpack(&pack(&bytes).unwrap()).unwrap(), bytes);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            drop(unpack(&text));
        }

        #[test]
        fn commands_that_go_out_come_in(ids in prop::collection::vec(any::<u128>(), 0..20)) {
            let commands: Vec<_> = ids.iter().map(|&id| Commanded { command: Uuid::from_u128(id), device: format!("device-{id}") }).collect();
            let lines = commands_to_lines(&commands).unwrap();
            prop_assert_eq!(commands_of_lines(&lines).unwrap(), commands);
        }
    }

    #[test]
    fn the_largest_piece_is_a_message_and_a_bomb_is_none() {
        use rand::RngExt;
        let mut random = rand::rng();
        let bytes: Vec<u8> = (0..REQUESTS * 64).map(|_| random.random()).collect();
        assert!(pack(&bytes).unwrap().len() < protocol::envelope::MAX_BYTES - 10_000);
        let bomb = pack(&vec![0; usize::try_from(MOST).unwrap() + 1]).unwrap();
        assert!(unpack(&bomb).unwrap_err().contains("more than"));
    }
}
