//! Reads and discards request bodies.

use super::head::MAX_BODY;

/// Maximum size in bytes of a chunk-size line with extensions, and of all trailers together.
const MAX_LINE: u32 = 4096;

/// The rest of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The number of remaining bytes.
    Length(u64),
    /// Chunks up to the final empty one.
    Chunked(Chunked),
}

/// Parser state of a chunked body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunked {
    state: State,
    /// Sum of the chunk sizes so far.
    total: u64,
    /// Bytes of the current line, or of all trailers.
    line: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the chunk size; the flag is true after the first digit.
    Size(u64, bool),
    /// In a chunk extension.
    Extension(u64),
    /// After the CR of a chunk-size line.
    SizeEnd(u64),
    Data(u64),
    DataCr,
    DataLf,
    /// At the start of a trailer line.
    TrailerStart,
    Trailer,
    /// After the CR of the last line.
    LastLf,
    Done,
}

/// Why a body is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// The chunk framing is invalid.
    Malformed,
    /// The body is longer than [`MAX_BODY`].
    TooLarge,
}

impl Body {
    /// A chunked body at its start.
    #[must_use]
    pub fn chunked() -> Self {
        Self::Chunked(Chunked {
            state: State::Size(0, false),
            total: 0,
            line: 0,
        })
    }

    /// Discards the part of `input` that belongs to the body; returns its length and whether the body is complete.
    pub fn discard(&mut self, input: &[u8]) -> Result<(usize, bool), BodyError> {
        match self {
            Self::Length(left) => {
                let taken = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= taken as u64;
                Ok((taken, *left == 0))
            }
            Self::Chunked(chunked) => chunked.discard(input),
        }
    }
}

impl Chunked {
    fn discard(&mut self, input: &[u8]) -> Result<(usize, bool), BodyError> {
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
            (State::SizeEnd(size), b'\n') => self.start_chunk(size),
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

    fn start_chunk(&mut self, size: u64) -> Result<State, BodyError> {
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
    fn chunks_with_extensions_and_trailers() {
        let body = b"3;x=\"y\"\r\nabc\r\nA \r\n0123456789\r\n0\r\nT: v\r\n\r\nGET";
        assert_eq!(Body::chunked().discard(body), Ok((body.len() - 3, true)));
    }

    #[test]
    fn invalid_chunks_are_refused() {
        for bad in ["\r\n", "g\r\n", "1\n", "1\r\nab", "0\r\n\n", "1\r\na\n", "-1\r\n"] {
            assert_eq!(
                Body::chunked().discard(bad.as_bytes()),
                Err(BodyError::Malformed),
                "{bad:?}"
            );
        }
        assert_eq!(Body::chunked().discard(b"fffffffff\r\n"), Err(BodyError::TooLarge));
        assert_eq!(Body::chunked().discard(&[b'f'; 40]), Err(BodyError::TooLarge));
        let endless = format!("1;{}", "x".repeat(5000));
        assert_eq!(Body::chunked().discard(endless.as_bytes()), Err(BodyError::Malformed));
    }
}
