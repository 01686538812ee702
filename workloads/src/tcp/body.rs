//! Reads and drops the body of a request.

use super::head::MAX_BODY;

/// Longest line, in bytes, of a chunk size with its extensions, and of all trailers together.
const MAX_LINE: u32 = 4096;

/// How much of a body is still to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// So many bytes.
    Length(u64),
    /// Chunks up to the empty one.
    Chunked(Chunked),
}

/// Where the reader stands in a chunked body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunked {
    state: State,
    /// Data bytes of all chunks announced so far.
    total: u64,
    /// Bytes of the present line, or of all trailers.
    line: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the size; the flag says whether a digit came yet.
    Size(u64, bool),
    /// Behind the size, in an extension.
    Extension(u64),
    /// Behind the carriage return of a size line.
    SizeEnd(u64),
    Data(u64),
    DataCr,
    DataLf,
    /// At the start of a trailer line.
    TrailerStart,
    Trailer,
    /// Behind the carriage return of the last line.
    LastLf,
    Done,
}

/// Why a body cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// The chunk framing is broken.
    Malformed,
    /// The body is longer than [`MAX_BODY`].
    TooLarge,
}

impl Body {
    /// A chunked body of which nothing was read.
    #[must_use]
    pub fn chunked() -> Self {
        Self::Chunked(Chunked {
            state: State::Size(0, false),
            total: 0,
            line: 0,
        })
    }

    /// Drops what of `input` belongs to the body; returns how many bytes, and whether it ended there.
    pub fn drop_from(&mut self, input: &[u8]) -> Result<(usize, bool), BodyError> {
        match self {
            Self::Length(left) => {
                let taken = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= taken as u64;
                Ok((taken, *left == 0))
            }
            Self::Chunked(chunked) => chunked.drop_from(input),
        }
    }
}

impl Chunked {
    fn drop_from(&mut self, input: &[u8]) -> Result<(usize, bool), BodyError> {
        let mut at = 0;
        while at < input.len() && self.state != State::Done {
            if let State::Data(left) = self.state {
                let taken = usize::try_from(left).map_or(input.len() - at, |left| left.min(input.len() - at));
                at += taken;
                let left = left - taken as u64;
                self.state = if left == 0 { State::DataCr } else { State::Data(left) };
            } else {
                self.state = self.step(input[at])?;
                at += 1;
            }
        }
        Ok((at, self.state == State::Done))
    }

    /// The state after one byte of framing.
    fn step(&mut self, byte: u8) -> Result<State, BodyError> {
        self.line += 1;
        if self.line > MAX_LINE {
            return Err(BodyError::Malformed);
        }
        match (self.state, byte) {
            (State::Size(size, _), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                let size = size.checked_mul(16).ok_or(BodyError::TooLarge)? + u64::from(digit);
                Ok(State::Size(size, true))
            }
            (State::Size(size, true), b';' | b' ' | b'\t') => Ok(State::Extension(size)),
            (State::Size(size, true) | State::Extension(size), b'\r') => Ok(State::SizeEnd(size)),
            (State::Extension(size), other) if other != b'\n' => Ok(State::Extension(size)),
            (State::SizeEnd(size), b'\n') => self.begin(size),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => {
                self.line = 0;
                Ok(State::Size(0, false))
            }
            (State::TrailerStart, b'\r') => Ok(State::LastLf),
            (State::TrailerStart | State::Trailer, other) if other != b'\n' => Ok(State::Trailer),
            (State::Trailer, b'\n') => Ok(State::TrailerStart),
            (State::LastLf, b'\n') => Ok(State::Done),
            _ => Err(BodyError::Malformed),
        }
    }

    fn begin(&mut self, size: u64) -> Result<State, BodyError> {
        self.line = 0;
        self.total = self.total.saturating_add(size);
        if self.total > MAX_BODY {
            return Err(BodyError::TooLarge);
        }
        Ok(if size == 0 {
            State::TrailerStart
        } else {
            State::Data(size)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_with_extensions_and_trailers_end_where_they_should() {
        let body = b"3;x=\"y\"\r\nabc\r\nA \r\n0123456789\r\n0\r\nT: v\r\n\r\nGET";
        assert_eq!(Body::chunked().drop_from(body), Ok((body.len() - 3, true)));
    }

    #[test]
    fn broken_chunks_are_named() {
        for bad in ["\r\n", "g\r\n", "1\n", "1\r\nab", "0\r\n\n", "1\r\na\n", "-1\r\n"] {
            assert_eq!(
                Body::chunked().drop_from(bad.as_bytes()),
                Err(BodyError::Malformed),
                "{bad:?}"
            );
        }
        assert_eq!(Body::chunked().drop_from(b"fffffffff\r\n"), Err(BodyError::TooLarge));
        assert_eq!(Body::chunked().drop_from(&[b'f'; 40]), Err(BodyError::TooLarge));
        let endless = format!("1;{}", "x".repeat(5000));
        assert_eq!(Body::chunked().drop_from(endless.as_bytes()), Err(BodyError::Malformed));
    }
}
