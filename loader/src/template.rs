//! Requests with placeholders, whose values are a pure function of the seed and the request's number.
//!
//! | placeholder | value |
//! |---|---|
//! | `{seq}` | number of the request in the whole load, from 0 |
//! | `{random:1-1000}` | random integer of this range |
//! | `{letters:16}`, `{hex:16}` | so many random letters a to z, or hexadecimal digits |
//! | `{uuid}` | random UUID, version 4 |
//! | `{pick:red\|green}` | one of these texts |
//!
//! A lower-case word in braces, alone or before a colon, is a placeholder; every other brace is literal, so JSON needs no escapes.

use std::io::Write as _;
use std::ops::RangeInclusive;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Builder;

use super::error::LoadError;

/// Random streams of templates differ from those of schedules and scripts, which use the same seed.
const STREAMS: u64 = 0x7465_6d70_6c61_7465;

/// Maximum number of random letters or digits of a placeholder.
const MAX_TEXT: usize = 65_536;

/// A request with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    seed: u64,
    /// Request line and header fields, without `Content-Length` and the empty line.
    head: Vec<Piece>,
    body: Option<Vec<Piece>>,
}

/// A piece of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Box<[u8]>),
    Number,
    Random(RangeInclusive<u64>),
    Letters(usize),
    Hex(usize),
    Uuid,
    Pick(Vec<Box<[u8]>>),
}

impl Template {
    /// A template of a header, without `Content-Length` and the empty line, and a body.
    ///
    /// # Errors
    /// [`LoadError::Placeholder`].
    pub fn new(head: &[u8], body: Option<&[u8]>, seed: u64) -> Result<Self, LoadError> {
        Ok(Self {
            seed: seed ^ STREAMS,
            head: parse(head)?,
            body: body.map(parse).transpose()?,
        })
    }

    /// Encodes the request with this number into `out`, replacing what it holds. Does not allocate once `out` is large enough.
    pub fn render(&self, number: u64, out: &mut Vec<u8>) {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(number);
        out.clear();
        write_pieces(&self.head, number, &mut random, out);
        let Some(body) = &self.body else {
            out.extend_from_slice(b"\r\n");
            return;
        };
        let head = out.len();
        write_pieces(body, number, &mut random, out);
        // The length is known only now, so the end of the header is written behind the body and rotated in front of it.
        let end = out.len();
        // Writing to a vector cannot fail.
        let _ = write!(out, "Content-Length: {}\r\n\r\n", end - head);
        let line = out.len() - end;
        out[head..].rotate_right(line);
    }
}

fn write_pieces(pieces: &[Piece], number: u64, random: &mut ChaCha8Rng, out: &mut Vec<u8>) {
    for piece in pieces {
        match piece {
            Piece::Literal(bytes) => out.extend_from_slice(bytes),
            // Writing to a vector cannot fail.
            Piece::Number => drop(write!(out, "{number}")),
            Piece::Random(range) => drop(write!(out, "{}", random.random_range(range.clone()))),
            Piece::Letters(count) => out.extend((0..*count).map(|_| random.random_range(b'a'..=b'z'))),
            Piece::Hex(count) => {
                out.extend((0..*count).map(|_| b"0123456789abcdef"[usize::from(random.random_range(0..16_u8))]));
            }
            Piece::Uuid => {
                let mut bytes = [0; 16];
                random.fill_bytes(&mut bytes);
                let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
                let uuid = Builder::from_random_bytes(bytes).into_uuid();
                out.extend_from_slice(uuid.hyphenated().encode_lower(&mut text).as_bytes());
            }
            Piece::Pick(texts) => out.extend_from_slice(&texts[random.random_range(0..texts.len())]),
        }
    }
}

/// The number of placeholders in a text.
///
/// # Errors
/// [`LoadError::Placeholder`]: one of them is unknown or incorrect.
pub fn placeholders(text: &[u8]) -> Result<usize, LoadError> {
    let is_placeholder = |piece: &&Piece| !matches!(piece, Piece::Literal(_));
    Ok(parse(text)?.iter().filter(is_placeholder).count())
}

fn parse(mut text: &[u8]) -> Result<Vec<Piece>, LoadError> {
    let (mut pieces, mut literal) = (Vec::new(), Vec::new());
    while let Some(open) = text.iter().position(|&byte| byte == b'{') {
        literal.extend_from_slice(&text[..open]);
        text = &text[open..];
        let Some(inner) = placeholder(text) else {
            literal.push(b'{');
            text = &text[1..];
            continue;
        };
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
        }
        pieces.push(piece(inner)?);
        text = &text[inner.len() + 2..];
    }
    literal.extend_from_slice(text);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal.into()));
    }
    Ok(pieces)
}

/// What is between the braces of a placeholder at the start of `text`, if there is one.
fn placeholder(text: &[u8]) -> Option<&[u8]> {
    let inner = &text[1..];
    let end = inner.iter().position(|byte| b"{}\r\n".contains(byte))?;
    let (inner, close) = (&inner[..end], inner[end]);
    let word = inner.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
    let is_word = word > 0 && matches!(inner.get(word), None | Some(b':'));
    (close == b'}' && is_word).then_some(inner)
}

fn piece(inner: &[u8]) -> Result<Piece, LoadError> {
    let (word, argument) = match inner.iter().position(|&byte| byte == b':') {
        Some(colon) => (&inner[..colon], Some(&inner[colon + 1..])),
        None => (inner, None),
    };
    let fault = |must: &'static str| LoadError::Placeholder {
        given: String::from_utf8_lossy(inner).into_owned(),
        must,
    };
    let text = argument.map(std::str::from_utf8).transpose();
    let text = text.map_err(|_| fault("have an argument in UTF-8"))?;
    let count = |must| {
        let count = text.and_then(|text| text.parse().ok());
        count
            .filter(|count| (1..=MAX_TEXT).contains(count))
            .ok_or_else(|| fault(must))
    };
    match (word, text) {
        (b"seq", None) => Ok(Piece::Number),
        (b"uuid", None) => Ok(Piece::Uuid),
        (b"seq" | b"uuid", Some(_)) => Err(fault("have no argument")),
        (b"random", _) => text
            .and_then(range)
            .map(Piece::Random)
            .ok_or_else(|| fault("name a range of integers from 0, the smaller one first, e.g. {random:1-1000}")),
        (b"letters", _) => count("name a number of letters from 1 to 65536, e.g. {letters:16}").map(Piece::Letters),
        (b"hex", _) => count("name a number of digits from 1 to 65536, e.g. {hex:16}").map(Piece::Hex),
        (b"pick", Some(text)) => Ok(Piece::Pick(
            text.split('|').map(|text| text.as_bytes().into()).collect(),
        )),
        (b"pick", None) => Err(fault("name texts to choose from, e.g. {pick:red|green}")),
        _ => Err(fault(
            "be one of {seq}, {random:1-1000}, {letters:16}, {hex:16}, {uuid} and {pick:red|green}",
        )),
    }
}

fn range(text: &str) -> Option<RangeInclusive<u64>> {
    let (from, to) = text.split_once('-')?;
    let (from, to) = (from.parse().ok()?, to.parse().ok()?);
    (from <= to).then_some(from..=to)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rendered(head: &str, body: Option<&str>, seed: u64, number: u64) -> String {
        let template = Template::new(head.as_bytes(), body.map(str::as_bytes), seed).unwrap();
        let mut out = b"left over".to_vec();
        template.render(number, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// Values may not change between releases: runs with the same seed send the same requests.
    #[test]
    fn values_are_stable() {
        let body =
            r#"{"id": {seq}, "of": {random:1-6}, "k": "{letters:5}{hex:4}", "u": "{uuid}", "c": "{pick:red|green}"}"#;
        insta::assert_snapshot!(rendered("POST /{seq} HTTP/1.1\r\nX: {random:0-9}\r\n", Some(body), 7, 3), @r#"
        POST /3 HTTP/1.1
        X: 9
        Content-Length: 95

        {"id": 3, "of": 4, "k": "udpwm5e53", "u": "11169310-7476-4f8e-a2f4-821d35cf6f01", "c": "green"}
        "#);
    }

    #[test]
    fn braces_that_begin_no_placeholder_are_literal() {
        for text in [
            "{}",
            "{\"a\":1}",
            "{{{",
            "{A}",
            "{a b}",
            "{seq",
            "{ seq }",
            "{seq\n}",
            "{1}",
            "}",
        ] {
            assert_eq!(placeholders(text.as_bytes()).unwrap(), 0, "{text}");
            assert_eq!(rendered(text, None, 0, 0), format!("{text}\r\n"));
        }
        assert_eq!(rendered("{{seq}}{\"a\":{seq}}", None, 0, 5), "{5}{\"a\":5}\r\n");
    }

    #[test]
    fn incorrect_placeholders_are_named() {
        for (text, says) in [
            ("{sequ}", "{sequ} must be one of {seq}"),
            ("{seq:1}", "have no argument"),
            ("{random}", "e.g. {random:1-1000}"),
            ("{random:5-1}", "the smaller one first"),
            ("{random:-1-1}", "from 0"),
            ("{letters:0}", "1 to 65536"),
            ("{hex:99999999}", "1 to 65536"),
            ("{pick}", "texts to choose from"),
        ] {
            let error = placeholders(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn a_request_depends_on_seed_and_number_only(seed in any::<u64>(), number in any::<u64>(), others in prop::collection::vec(any::<u64>(), 0..5)) {
            let template = Template::new(b"POST /{random:0-99} HTTP/1.1\r\n", Some(b"{letters:9}{uuid}{pick:a|bb|}{hex:3}"), seed).unwrap();
            let (mut first, mut again) = (Vec::new(), Vec::new());
            template.render(number, &mut first);
            for other in others {
                template.render(other, &mut again);
            }
            template.render(number, &mut again);
            prop_assert_eq!(&first, &again);
            // The length that the header announces is that of the body.
            let text = String::from_utf8(first).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let announced = head.rsplit_once("Content-Length: ").unwrap().1.parse::<usize>().unwrap();
            prop_assert_eq!(announced, body.len());
        }

        #[test]
        fn random_integers_stay_in_their_range(from in 0..1000_u64, length in 0..1000_u64, number in any::<u64>()) {
            let text = rendered(&format!("{{random:{from}-{}}}", from + length), None, 1, number);
            let value: u64 = text.trim().parse().unwrap();
            prop_assert!((from..=from + length).contains(&value));
        }

        #[test]
        fn arbitrary_text_does_not_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(placeholders(&text));
        }
    }
}
