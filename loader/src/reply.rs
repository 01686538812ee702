//! Parses and checks HTTP/1.1 and HTTP/1.0 replies, independently of sockets.
//!
//! ```text
//!            1xx            length, chunks or end of connection        last byte
//!          +-----+
//!          v     |
//! ------> Head --+---------------------> body ---------------------------> Done
//! ```
//! A correctly framed reply with the wrong status, length or content is read to its end, so that a persistent connection stays usable and the load on the
//! server is the same; the error is reported at the end. A framing error is reported immediately.

use std::mem::MaybeUninit;

use super::error::ErrorKind;
use super::target::{BodyRule, Expect};

/// Reads the replies of one connection, one after the other.
#[derive(Debug)]
pub struct ReplyReader {
    state: State,
    /// The bytes of an incomplete header.
    partial: Vec<u8>,
    status: u16,
    keeps_alive: bool,
    body_bytes: u64,
    /// The body so far, if it has to be validated as a whole.
    body: Vec<u8>,
    error: Option<ErrorKind>,
}

/// Maximum length of a body that is validated as a whole, bytes; longer ones are errors.
const MAX_VALIDATED: usize = 16 << 20;

#[derive(Debug)]
enum State {
    Head,
    Length(u64),
    Chunked(ChunkedDecoder),
    UntilClose,
    Done,
}

/// The effect of feeding bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fed {
    /// The reply is incomplete.
    More,
    /// The reply ended after this many of the bytes; see [`ReplyReader::verdict`].
    Done(usize),
}

impl ReplyReader {
    /// A reader at the start of a reply.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Head,
            partial: Vec::new(),
            status: 0,
            keeps_alive: false,
            body_bytes: 0,
            body: Vec::new(),
            error: None,
        }
    }

    /// Prepares for the next reply.
    pub fn reset(&mut self) {
        self.state = State::Head;
        self.partial.clear();
        self.status = 0;
        self.keeps_alive = false;
        self.body_bytes = 0;
        self.body.clear();
        self.error = None;
    }

    /// Parses bytes and checks them against the expected reply, which must be the same for the whole reply.
    ///
    /// # Errors
    /// Framing errors, after which the connection is unusable.
    pub fn feed(&mut self, input: &[u8], expect: &Expect) -> Result<Fed, ErrorKind> {
        let mut at = 0;
        while let State::Head = self.state {
            match self.feed_head(&input[at..], expect)? {
                Some(used) => at += used,
                None => return Ok(Fed::More),
            }
        }
        let rest = &input[at..];
        let rule = self.error.is_none().then_some(&expect.body);
        let (mut is_correct, mut seen) = (true, self.body_bytes);
        let body = &mut self.body;
        let mut check = |piece: &[u8]| {
            if let Some(BodyRule::Validated(_)) = rule {
                is_correct &= body.len() + piece.len() <= MAX_VALIDATED;
                body.extend_from_slice(if is_correct { piece } else { &[] });
            }
            is_correct &= rule.is_none_or(|rule| rule.matches(piece, seen));
            seen += piece.len() as u64;
        };
        let (used, bytes, done) = match &mut self.state {
            State::Length(left) => {
                let taken = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                check(&rest[..taken]);
                *left -= taken as u64;
                (taken, taken as u64, *left == 0)
            }
            State::Chunked(chunked) => chunked.feed(rest, check)?,
            State::UntilClose => {
                check(rest);
                (rest.len(), rest.len() as u64, false)
            }
            State::Head | State::Done => (0, 0, true),
        };
        self.body_bytes += bytes;
        if !is_correct {
            self.error = Some(ErrorKind::WrongBody);
        }
        if done {
            self.finish(expect);
            return Ok(Fed::Done(at + used));
        }
        Ok(Fed::More)
    }

    /// Handles the end of the connection.
    ///
    /// # Errors
    /// The reply is incomplete.
    pub fn end(&mut self, expect: &Expect) -> Result<(), ErrorKind> {
        match self.state {
            State::Head => Err(ErrorKind::ClosedEarly),
            State::Length(_) | State::Chunked(_) => Err(ErrorKind::ShortBody),
            State::UntilClose => {
                self.finish(expect);
                Ok(())
            }
            State::Done => Ok(()),
        }
    }

    /// Whether a complete reply is as expected.
    ///
    /// # Errors
    /// How it differs.
    pub fn verdict(&self) -> Result<(), ErrorKind> {
        self.error.map_or(Ok(()), Err)
    }

    /// The status of the reply, 0 before its header is complete.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the server keeps the connection open after the reply.
    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        self.keeps_alive
    }

    /// Parses a header; returns how many bytes of `input` it used, or `None` if it is incomplete.
    fn feed_head(&mut self, input: &[u8], expect: &Expect) -> Result<Option<usize>, ErrorKind> {
        let before = self.partial.len();
        let parsed = if before == 0 {
            parse_head(input)?
        } else {
            self.partial.extend_from_slice(input);
            parse_head(&self.partial)?
        };
        let Some(head) = parsed else {
            if before == 0 {
                self.partial.extend_from_slice(input);
            }
            return Ok(None);
        };
        self.partial.clear();
        if !head.is_interim() {
            self.begin_body(&head, expect);
        }
        Ok(Some(head.len - before))
    }

    fn begin_body(&mut self, head: &Head, expect: &Expect) {
        self.status = head.status;
        let framing = if expect.header_only {
            Framing::Length(0)
        } else {
            head.framing
        };
        self.keeps_alive = head.persistent && framing != Framing::UntilClose;
        let announced = match framing {
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::UntilClose => None,
        };
        let expected = expect.body.length();
        if !expect.status.matches(head.status) {
            self.error = Some(ErrorKind::WrongStatus);
        } else if announced.is_some() && expected.is_some() && announced != expected {
            self.error = Some(ErrorKind::WrongLength);
        }
        self.state = match framing {
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(ChunkedDecoder::default()),
            Framing::UntilClose => State::UntilClose,
        };
    }

    fn finish(&mut self, expect: &Expect) {
        self.state = State::Done;
        if self.error != Some(ErrorKind::WrongStatus) && !expect.body.matches_length(self.body_bytes) {
            self.error = Some(ErrorKind::WrongLength);
        }
        if let BodyRule::Validated(validator) = &expect.body
            && self.error.is_none()
            && !validator.is_valid(&self.body)
        {
            self.error = Some(ErrorKind::WrongBody);
        }
    }
}

impl Default for ReplyReader {
    fn default() -> Self {
        Self::new()
    }
}

/// Maximum length of a header, bytes.
const MAX_HEAD: usize = 16 * 1024;
/// Maximum number of header fields.
const MAX_FIELDS: usize = 100;

/// The relevant fields of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    /// Length, bytes.
    len: usize,
    /// Status code.
    status: u16,
    /// Body framing.
    framing: Framing,
    /// Whether the server keeps the connection open, if the end of the connection is not that of the body.
    persistent: bool,
}

/// How the end of a body is determined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// By its length, bytes.
    Length(u64),
    /// By chunked encoding.
    Chunked,
    /// By the end of the connection.
    UntilClose,
}

impl Head {
    /// Whether it is an interim response, which the final one follows.
    fn is_interim(&self) -> bool {
        self.status < 200
    }
}

/// Parses a header at the start of `input`; `None`: it is incomplete.
///
/// Only complete lines within [`MAX_HEAD`] are parsed, so that the result does not depend on how the bytes were split over packets. A complete header is
/// valid regardless of what follows; only an incomplete one is parsed again without its last partial line.
fn parse_head(input: &[u8]) -> Result<Option<Head>, ErrorKind> {
    let window = &input[..input.len().min(MAX_HEAD)];
    if let Ok(Some(head)) = parse_lines(window) {
        return Ok(Some(head));
    }
    let lines = window.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    match parse_lines(&window[..lines])? {
        None if window.len() == MAX_HEAD => Err(ErrorKind::HeadTooLarge),
        parsed => Ok(parsed),
    }
}

fn parse_lines(lines: &[u8]) -> Result<Option<Head>, ErrorKind> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut reply = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut reply, lines, &mut fields);
    match parsed {
        Ok(httparse::Status::Complete(len)) => read_head(&reply, len).map(Some),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => Err(ErrorKind::HeadTooLarge),
        Err(_) => Err(ErrorKind::Malformed),
    }
}

fn read_head(reply: &httparse::Response<'_, '_>, len: usize) -> Result<Head, ErrorKind> {
    let status = reply.code.unwrap_or(0);
    // 101 is an error, since no engine requests a protocol switch.
    if !(100..600).contains(&status) || status == 101 {
        return Err(ErrorKind::Malformed);
    }
    let (mut length, mut chunked, mut close, mut keep) = (None, false, false, false);
    for field in reply.headers.iter() {
        if field.name.eq_ignore_ascii_case("content-length") {
            let value = number(field.value)?;
            if length.is_some_and(|known| known != value) {
                return Err(ErrorKind::Malformed);
            }
            length = Some(value);
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            if chunked || !field.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                return Err(ErrorKind::Malformed);
            }
            chunked = true;
        } else if field.name.eq_ignore_ascii_case("connection") {
            close |= has_token(field.value, b"close");
            keep |= has_token(field.value, b"keep-alive");
        }
    }
    let framing = match (chunked, length) {
        _ if status < 200 || status == 204 || status == 304 => Framing::Length(0),
        (true, Some(_)) => return Err(ErrorKind::Malformed),
        (true, None) => Framing::Chunked,
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::UntilClose,
    };
    let persistent = if reply.version == Some(0) {
        keep && !close
    } else {
        !close
    };
    Ok(Head {
        len,
        status,
        framing,
        persistent,
    })
}

fn number(value: &[u8]) -> Result<u64, ErrorKind> {
    let value = value.trim_ascii();
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(ErrorKind::Malformed);
    }
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(ErrorKind::Malformed)
}

fn has_token(value: &[u8], token: &[u8]) -> bool {
    value
        .split(|b| *b == b',')
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
}

/// Maximum length of a chunk size line including extensions, and of all trailers, bytes.
const MAX_LINE: u32 = 16 * 1024;

/// Decodes a chunked body.
#[derive(Debug)]
struct ChunkedDecoder {
    state: ChunkState,
    /// Length of the current size line, or of all trailers.
    line: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChunkState {
    /// In the size; the flag: at least one digit has been read.
    Size(u64, bool),
    /// In a chunk extension.
    Extension(u64),
    /// After the carriage return of the size line.
    SizeEnd(u64),
    Data(u64),
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    /// After the carriage return of the last line.
    LastLf,
    Done,
}

impl Default for ChunkedDecoder {
    fn default() -> Self {
        Self {
            state: ChunkState::Size(0, false),
            line: 0,
        }
    }
}

impl ChunkedDecoder {
    /// Decodes bytes and passes the data to `data`; returns how many bytes were used, how many of them are data, and whether the body ended.
    fn feed(&mut self, input: &[u8], mut data: impl FnMut(&[u8])) -> Result<(usize, u64, bool), ErrorKind> {
        let (mut at, mut bytes) = (0, 0);
        while at < input.len() && self.state != ChunkState::Done {
            if let ChunkState::Data(left) = self.state {
                let room = input.len() - at;
                let taken = usize::try_from(left).map_or(room, |left| left.min(room));
                data(&input[at..at + taken]);
                at += taken;
                bytes += taken as u64;
                let left = left - taken as u64;
                self.state = if left == 0 {
                    ChunkState::DataCr
                } else {
                    ChunkState::Data(left)
                };
            } else {
                self.state = self.step(input[at])?;
                at += 1;
            }
        }
        Ok((at, bytes, self.state == ChunkState::Done))
    }

    /// The state after one byte of framing.
    fn step(&mut self, byte: u8) -> Result<ChunkState, ErrorKind> {
        self.line += 1;
        if self.line > MAX_LINE {
            return Err(ErrorKind::Malformed);
        }
        Ok(match (self.state, byte) {
            (ChunkState::Size(size, _), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                ChunkState::Size(
                    size.checked_mul(16).ok_or(ErrorKind::Malformed)? + u64::from(digit),
                    true,
                )
            }
            (ChunkState::Size(size, true), b';' | b' ' | b'\t') => ChunkState::Extension(size),
            (ChunkState::Size(size, true) | ChunkState::Extension(size), b'\r') => ChunkState::SizeEnd(size),
            (ChunkState::Extension(size), other) if other != b'\n' => ChunkState::Extension(size),
            (ChunkState::SizeEnd(size), b'\n') => {
                self.line = 0;
                if size == 0 {
                    ChunkState::TrailerStart
                } else {
                    ChunkState::Data(size)
                }
            }
            (ChunkState::DataCr, b'\r') => ChunkState::DataLf,
            (ChunkState::DataLf, b'\n') => {
                self.line = 0;
                ChunkState::Size(0, false)
            }
            (ChunkState::TrailerStart, b'\r') => ChunkState::LastLf,
            (ChunkState::TrailerStart | ChunkState::Trailer, other) if other != b'\n' => ChunkState::Trailer,
            (ChunkState::Trailer, b'\n') => ChunkState::TrailerStart,
            (ChunkState::LastLf, b'\n') => ChunkState::Done,
            _ => return Err(ErrorKind::Malformed),
        })
    }
}

#[cfg(test)]
mod tests;
