//! Reads a chunked body.

use crate::error::ErrorKind;

/// Longest line of a chunk size with its extensions, and of all trailers together, in bytes.
const MAX_LINE: u32 = 16 * 1024;

/// Where the reader stands.
#[derive(Debug)]
pub struct Chunked {
    state: State,
    /// Bytes of the present size line, or of all trailers.
    line: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the size; the flag says whether a digit came yet.
    Size(u64, bool),
    /// In an extension behind the size.
    Extension(u64),
    /// Behind the carriage return of the size line.
    SizeEnd(u64),
    Data(u64),
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    /// Behind the carriage return of the last line.
    LastLf,
    Done,
}

impl Default for Chunked {
    fn default() -> Self {
        Self {
            state: State::Size(0, false),
            line: 0,
        }
    }
}

impl Chunked {
    /// Takes bytes, showing the data among them to `data`; returns how many bytes were used, how many
    /// of them are data, and whether the body ended.
    pub fn feed(&mut self, input: &[u8], mut data: impl FnMut(&[u8])) -> Result<(usize, u64, bool), ErrorKind> {
        let (mut at, mut bytes) = (0, 0);
        while at < input.len() && self.state != State::Done {
            if let State::Data(left) = self.state {
                let room = input.len() - at;
                let taken = usize::try_from(left).map_or(room, |left| left.min(room));
                data(&input[at..at + taken]);
                at += taken;
                bytes += taken as u64;
                let left = left - taken as u64;
                self.state = if left == 0 { State::DataCr } else { State::Data(left) };
            } else {
                self.state = self.step(input[at])?;
                at += 1;
            }
        }
        Ok((at, bytes, self.state == State::Done))
    }

    /// The state after one byte of framing.
    fn step(&mut self, byte: u8) -> Result<State, ErrorKind> {
        self.line += 1;
        if self.line > MAX_LINE {
            return Err(ErrorKind::Malformed);
        }
        Ok(match (self.state, byte) {
            (State::Size(size, _), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                State::Size(
                    size.checked_mul(16).ok_or(ErrorKind::Malformed)? + u64::from(digit),
                    true,
                )
            }
            (State::Size(size, true), b';' | b' ' | b'\t') => State::Extension(size),
            (State::Size(size, true) | State::Extension(size), b'\r') => State::SizeEnd(size),
            (State::Extension(size), other) if other != b'\n' => State::Extension(size),
            (State::SizeEnd(size), b'\n') => {
                self.line = 0;
                if size == 0 {
                    State::TrailerStart
                } else {
                    State::Data(size)
                }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => {
                self.line = 0;
                State::Size(0, false)
            }
            (State::TrailerStart, b'\r') => State::LastLf,
            (State::TrailerStart | State::Trailer, other) if other != b'\n' => State::Trailer,
            (State::Trailer, b'\n') => State::TrailerStart,
            (State::LastLf, b'\n') => State::Done,
            _ => return Err(ErrorKind::Malformed),
        })
    }
}
