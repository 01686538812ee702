//! The reply reader never panics, and its result does not depend on how the bytes were split over packets.

#![no_main]

use loader::{BodyRule, ErrorKind, Expect, Fed, ReplyReader};
use libfuzzer_sys::fuzz_target;

/// Reads pieces and the end of the connection: the verdict, the status, and the number of bytes of the reply.
fn read(pieces: &[&[u8]], expect: &Expect) -> (Result<(), ErrorKind>, u16, usize) {
    let (mut reader, mut before) = (ReplyReader::new(), 0);
    for piece in pieces {
        match reader.feed(piece, expect) {
            Ok(Fed::More) => before += piece.len(),
            Ok(Fed::Done(used)) => {
                assert!(used <= piece.len());
                return (reader.verdict(), reader.status(), before + used);
            }
            Err(kind) => return (Err(kind), 0, 0),
        }
    }
    let verdict = reader.end(expect).and_then(|()| reader.verdict());
    (verdict, reader.status(), before)
}

fuzz_target!(|input: (u8, u16, &[u8])| {
    let (rule, cut, bytes) = input;
    let body = match rule % 5 {
        0 => BodyRule::Any,
        1 => BodyRule::Length(5),
        2 => BodyRule::Repeat { byte: b'A', count: 5 },
        3 => BodyRule::Exact(b"AAAAA".as_slice().into()),
        _ => BodyRule::Prefix(b"AAA".as_slice().into()),
    };
    let expect = Expect::ok(body);
    // Half of the inputs begin with a valid status line, so that the rest is reached, too.
    let mut text = if rule & 0x80 == 0 { Vec::new() } else { b"HTTP/1.1 200 OK\r\n".to_vec() };
    text.extend_from_slice(bytes);
    let (first, second) = text.split_at(usize::from(cut) % (text.len() + 1));
    let whole = read(&[&text], &expect);
    assert_eq!(read(&[first, second], &expect), whole);
    let bytewise: Vec<_> = text.chunks(1).collect();
    assert_eq!(read(&bytewise, &expect), whole);
});
