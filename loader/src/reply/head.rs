//! Reads the head of a reply.

use std::mem::MaybeUninit;

use crate::error::ErrorKind;

/// Longest head in bytes.
pub const MAX_HEAD: usize = 16 * 1024;
/// Most header fields in one head.
const MAX_FIELDS: usize = 100;

/// What matters of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its length in bytes.
    pub len: usize,
    /// The status code.
    pub status: u16,
    /// How the end of the body is found.
    pub framing: Framing,
    /// Whether the connection stays open.
    pub keeps_alive: bool,
}

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(u64),
    /// After the empty chunk.
    Chunked,
    /// Where the connection ends.
    UntilClose,
}

/// Outcome of looking at the bytes so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// The head is not complete.
    Incomplete,
    /// It is.
    Complete(Head),
}

impl Head {
    /// Whether the real reply is still to come.
    pub fn is_interim(&self) -> bool {
        self.status < 200
    }
}

/// Reads one head from the start of `input`.
///
/// Only whole lines within [`MAX_HEAD`] are looked at, so that the outcome does not depend on how the bytes were split over packets. A head that is
/// complete is so whatever follows it; only what is not is looked at again without its last piece of a line.
pub fn parse(input: &[u8]) -> Result<Parsed, ErrorKind> {
    let window = &input[..input.len().min(MAX_HEAD)];
    if let Ok(Parsed::Complete(head)) = parse_lines(window) {
        return Ok(Parsed::Complete(head));
    }
    let lines = window.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    match parse_lines(&window[..lines])? {
        Parsed::Incomplete if window.len() == MAX_HEAD => Err(ErrorKind::HeadTooLarge),
        parsed => Ok(parsed),
    }
}

fn parse_lines(lines: &[u8]) -> Result<Parsed, ErrorKind> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut reply = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut reply, lines, &mut fields);
    match parsed {
        Ok(httparse::Status::Complete(len)) => read(&reply, len).map(Parsed::Complete),
        Ok(httparse::Status::Partial) => Ok(Parsed::Incomplete),
        Err(httparse::Error::TooManyHeaders) => Err(ErrorKind::HeadTooLarge),
        Err(_) => Err(ErrorKind::Malformed),
    }
}

fn read(reply: &httparse::Response<'_, '_>, len: usize) -> Result<Head, ErrorKind> {
    let status = reply.code.unwrap_or(0);
    // No engine asks for another protocol, so nothing may be switched to.
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
    let open = if reply.version == Some(0) {
        keep && !close
    } else {
        !close
    };
    Ok(Head {
        len,
        status,
        framing,
        keeps_alive: open && framing != Framing::UntilClose,
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
