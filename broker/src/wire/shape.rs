//! Checks that a request body has the form its schema demands, before the decoder of `kafka-protocol` sees it.
//!
//! That decoder reserves memory for as many elements as an array claims to have, so that a frame of 20 bytes
//! could make it ask for gigabytes and abort the process. Here every length is checked against the bytes that
//! are really there, and elements are counted.
//!
//! A shape is a line of letters in the order of the fields:
//! `b` 1 byte, `h` 2, `i` 4, `l` 8, `u` 16 (UUID), `s` string, `x` bytes, `[..]` array of structures,
//! `(..)` array of plain values, `{3-8 ..}` fields of versions 3 to 8, `!` in a structure: tagged fields are
//! refused (the decoder would interpret them; only brokers send them).

/// Elements of arrays and tagged fields in one request; bounds the memory that decoding takes.
const MAX_ELEMENTS: usize = 50_000;

/// What is wrong with a body, and at which byte of it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at} of the body")]
pub struct ShapeError {
    /// The problem.
    pub what: &'static str,
    /// Position in the body in bytes.
    pub at: usize,
}

/// Walks `body` along `shape`; returns how many bytes the shape takes. What is left over is no error: librdkafka
/// 2.12 asks for all topics in Metadata version 13 with bytes behind the request's end, and gets its answer of Apache Kafka 4.3.1.
pub fn check(shape: &str, version: i16, flexible: bool, body: &[u8]) -> Result<usize, ShapeError> {
    let mut walker = Walker {
        body,
        at: 0,
        version,
        flexible,
        elements: 0,
    };
    walker.structure(shape.as_bytes())?;
    Ok(walker.at)
}

/// Checks a request header (`key`, `version`, correlation id, client id, tags) and returns its length in bytes.
pub fn header(flexible: bool, frame: &[u8]) -> Result<usize, ShapeError> {
    let mut walker = Walker {
        body: frame,
        at: 8,
        version: 0,
        flexible: false,
        elements: 0,
    };
    walker.fields(b"s")?;
    if flexible {
        walker.tags(true)?;
    }
    Ok(walker.at)
}

struct Walker<'a> {
    body: &'a [u8],
    at: usize,
    version: i16,
    flexible: bool,
    elements: usize,
}

impl Walker<'_> {
    fn error(&self, what: &'static str) -> ShapeError {
        ShapeError { what, at: self.at }
    }

    fn take(&mut self, count: usize) -> Result<&[u8], ShapeError> {
        let left = self.body.len().saturating_sub(self.at);
        if count > left {
            return Err(self.error("truncated"));
        }
        self.at += count;
        Ok(&self.body[self.at - count..self.at])
    }

    /// Fields, then the tagged fields that end a structure of a flexible version.
    fn structure(&mut self, shape: &[u8]) -> Result<(), ShapeError> {
        self.fields(shape)?;
        if self.flexible {
            self.tags(!shape.contains(&b'!'))
        } else {
            Ok(())
        }
    }

    fn fields(&mut self, shape: &[u8]) -> Result<(), ShapeError> {
        let mut at = 0;
        while at < shape.len() {
            match shape[at] {
                b'b' => drop(self.take(1)?),
                b'h' => drop(self.take(2)?),
                b'i' => drop(self.take(4)?),
                b'l' => drop(self.take(8)?),
                b'u' => drop(self.take(16)?),
                b's' => self.sized(2)?,
                b'x' => self.sized(4)?,
                open @ (b'[' | b'(' | b'{') => {
                    let end = closing(shape, at);
                    self.nested(open, &shape[at + 1..end])?;
                    at = end;
                }
                _ => {}
            }
            at += 1;
        }
        Ok(())
    }

    fn nested(&mut self, open: u8, inner: &[u8]) -> Result<(), ShapeError> {
        if open == b'{' {
            let (range, fields) = gate(inner);
            return if range.contains(&self.version) {
                self.fields(fields)
            } else {
                Ok(())
            };
        }
        for _ in 0..self.length(4)? {
            self.count()?;
            if open == b'[' {
                self.structure(inner)?
            } else {
                self.fields(inner)?
            }
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), ShapeError> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            Err(self.error("more than 50000 elements"))
        } else {
            Ok(())
        }
    }

    fn sized(&mut self, width: usize) -> Result<(), ShapeError> {
        let length = self.length(width)?;
        self.take(length).map(drop)
    }

    /// A length: a varint of length + 1 in flexible versions, else an integer of `width` bytes; null counts as 0.
    fn length(&mut self, width: usize) -> Result<usize, ShapeError> {
        if self.flexible {
            return Ok((self.varint()? as usize).saturating_sub(1));
        }
        let length = match *self.take(width)? {
            [a, b] => i32::from(i16::from_be_bytes([a, b])),
            [a, b, c, d] => i32::from_be_bytes([a, b, c, d]),
            _ => -2,
        };
        match length {
            -1 => Ok(0),
            n => usize::try_from(n).map_err(|_| self.error("negative length")),
        }
    }

    /// At most five bytes, as the decoder reads it.
    fn varint(&mut self) -> Result<u32, ShapeError> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = u32::from(self.take(1)?[0]);
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.error("varint longer than five bytes"))
    }

    fn tags(&mut self, allowed: bool) -> Result<(), ShapeError> {
        for _ in 0..self.varint()? {
            if !allowed {
                return Err(self.error("tagged field of a broker"));
            }
            self.count()?;
            self.varint()?;
            let length = self.varint()? as usize;
            self.take(length)?;
        }
        Ok(())
    }
}

/// Index of the bracket that closes the one at `open`.
fn closing(shape: &[u8], open: usize) -> usize {
    let mut depth = 0;
    for (at, letter) in shape.iter().enumerate().skip(open) {
        match letter {
            b'[' | b'(' | b'{' => depth += 1,
            b']' | b')' | b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    shape.len()
}

/// Splits `3-8 fields` into the versions and the fields.
fn gate(inner: &[u8]) -> (std::ops::RangeInclusive<i16>, &[u8]) {
    let space = inner.iter().position(|&b| b == b' ').unwrap_or(inner.len());
    let mut numbers = inner[..space].split(|&b| b == b'-').map(|digits| {
        digits.iter().fold(0i16, |n, d| {
            n.saturating_mul(10).saturating_add(i16::from(d.saturating_sub(b'0')))
        })
    });
    let low = numbers.next().unwrap_or(0);
    (low..=numbers.next().unwrap_or(i16::MAX), &inner[space..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn array_that_claims_more_than_is_there_is_refused() {
        let bomb = [0x7f, 0xff, 0xff, 0xff, 0, 0];
        assert_eq!(check("[s]", 0, false, &bomb).unwrap_err().what, "truncated");
        let compact = [0xff, 0xff, 0xff, 0xff, 0x0f, 1];
        assert_eq!(check("(s)", 0, true, &compact).unwrap_err().what, "truncated");
    }

    #[test]
    fn array_of_many_tiny_elements_is_refused() {
        let mut body = vec![0x81, 0x80, 0x08];
        body.extend(vec![1; 200_000]);
        assert_eq!(
            check("(s)", 0, true, &body).unwrap_err().what,
            "more than 50000 elements"
        );
    }

    #[test]
    fn gate_follows_the_version() {
        assert_eq!(check("{3-8 h}b", 2, false, &[1]), Ok(1));
        assert_eq!(check("{3-8 h}b", 3, false, &[0, 0, 1]), Ok(3));
        assert!(check("{3-8 h}b", 3, false, &[0]).is_err());
        assert_eq!(check("{3-8 h}b", 9, false, &[1, 0]), Ok(1));
    }

    #[test]
    fn tags_of_brokers_are_refused_where_the_decoder_would_follow_them() {
        let tagged = [1, 0, 1, 9];
        assert_eq!(check("", 0, true, &tagged), Ok(4));
        assert!(check("!", 0, true, &tagged).is_err());
    }
}
