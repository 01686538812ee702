use proptest::prelude::*;

use super::*;
use crate::target::BodyValidator;

const EXPECT: Expect = Expect::ok(BodyRule::Repeat { byte: b'A', count: 5 });

/// Reads `pieces` and the end of the connection: the verdict, the status, whether the connection is kept, and the number of remaining bytes.
fn read(pieces: &[&[u8]]) -> (Result<(), ErrorKind>, u16, bool, usize) {
    let mut reader = ReplyReader::new();
    let total: usize = pieces.iter().map(|p| p.len()).sum();
    let mut fed = 0;
    for piece in pieces {
        match reader.feed(piece, &EXPECT) {
            Ok(Fed::More) => fed += piece.len(),
            Ok(Fed::Done(used)) => {
                return (
                    reader.verdict(),
                    reader.status(),
                    reader.keeps_alive(),
                    total - fed - used,
                );
            }
            Err(kind) => return (Err(kind), 0, false, 0),
        }
    }
    let verdict = reader.end(&EXPECT).and_then(|()| reader.verdict());
    (verdict, reader.status(), reader.keeps_alive(), 0)
}

fn verdict(text: &str) -> Result<(), ErrorKind> {
    read(&[text.as_bytes()]).0
}

#[test]
fn correct_replies_with_every_framing() {
    for (text, keeps) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nAAAAA", true),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nAAAAA",
            false,
        ),
        ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nAAAAA", false),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\n\r\nAAAAA",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nAA\r\n3;x=y\r\nAAA\r\n0\r\nT: v\r\n\r\n",
            true,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nAAAAA", false),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nAAAAA",
            true,
        ),
    ] {
        assert_eq!(read(&[text.as_bytes()]), (Ok(()), 200, keeps, 0), "{text:?}");
    }
}

#[test]
fn every_incorrect_reply_has_its_error_kind() {
    use ErrorKind::*;
    for (text, kind) in [
        ("", ClosedEarly),
        ("HTTP/1.1 200 OK\r\nContent-Le", ClosedEarly),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nAAA", ShortBody),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nAAAAA\r\n",
            ShortBody,
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nAAAA", WrongLength),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nAAAAAA\r\n0\r\n\r\n",
            WrongLength,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nAAAAAA", WrongLength),
        ("HTTP/1.1 204 No Content\r\n\r\n", WrongStatus),
        ("HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno", WrongStatus),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nAABAA", WrongBody),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nAAAAA",
            Malformed,
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nAAAAA", Malformed),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nAAAAA",
            Malformed,
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Malformed),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
            Malformed,
        ),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", Malformed),
        ("SSH-2.0-OpenSSH\r\n", Malformed),
        ("HTTP/1.1 9999 X\r\n\r\n", Malformed),
    ] {
        assert_eq!(verdict(text), Err(kind), "{text:?}");
    }
}

#[test]
fn the_header_size_is_limited() {
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(MAX_HEAD));
    assert_eq!(verdict(&endless), Err(ErrorKind::HeadTooLarge));
    let many = format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(200));
    assert_eq!(verdict(&many), Err(ErrorKind::HeadTooLarge));
}

#[test]
fn reset_prepares_for_the_next_reply() {
    let mut reader = ReplyReader::new();
    reader
        .feed(b"HTTP/1.1 500 X\r\nContent-Length: 1\r\n\r\n", &EXPECT)
        .unwrap();
    reader.reset();
    let good = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nAAAAA";
    assert_eq!(reader.feed(good, &EXPECT), Ok(Fed::Done(good.len())));
    assert_eq!(reader.verdict(), Ok(()));
}

const REPLIES: [&str; 10] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nAAAAA",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nAAAAArest",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nAAAAA",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nAA\r\n3\r\nAAA\r\n0\r\nT: v\r\n\r\nxx",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nAB\r\n3\r\nAAA\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\nAAAAA",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nAAA",
    "HTTP/1.1 404 No\r\nContent-Length: 3\r\n\r\nnot",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nBad\x01Name: x\r\n\r\nAAAAA",
    "garbage\r\nHTTP/1.1 200 OK\r\n\r\n",
];

proptest! {
    #[test]
    fn the_result_is_independent_of_the_split(
        which in 0..REPLIES.len(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let text = REPLIES[which].as_bytes();
        let mut cuts: Vec<_> = cuts.iter().map(|c| c.index(text.len() + 1)).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|w| &text[w[0]..w[1]]).collect();
        prop_assert_eq!(read(&pieces), read(&[text]));
    }

    #[test]
    fn arbitrary_bytes_are_handled_independently_of_the_split(bytes in prop::collection::vec(any::<u8>(), 0..2000), cut in any::<prop::sample::Index>()) {
        let mut text = b"HTTP/1.1 200 OK\r\n".to_vec();
        text.extend(bytes);
        let (a, b) = text.split_at(cut.index(text.len() + 1));
        prop_assert_eq!(read(&[a, b]), read(&[&text]));
    }
}

#[test]
fn a_validator_receives_the_whole_body() {
    let validator = BodyValidator::new(|body| body == b"{\"id\":7}");
    let expect = Expect::ok(BodyRule::Validated(validator));
    let mut reader = ReplyReader::new();
    let mut verdict = |text: &str, piece: usize| {
        reader.reset();
        let mut end = None;
        for piece in text.as_bytes().chunks(piece) {
            end = Some(reader.feed(piece, &expect).unwrap());
        }
        assert!(matches!(end, Some(Fed::Done(_))), "{text}");
        reader.verdict()
    };
    for piece in [1, 3, 1000] {
        let right = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{\"id\":7}";
        assert_eq!(verdict(right, piece), Ok(()));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{\"\r\n6\r\nid\":7}\r\n0\r\n\r\n";
        assert_eq!(verdict(chunked, piece), Ok(()));
        let wrong = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{\"id\":8}";
        assert_eq!(verdict(wrong, piece), Err(ErrorKind::WrongBody));
        let status = "HTTP/1.1 504 No\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(verdict(status, piece), Err(ErrorKind::WrongStatus));
    }
}
