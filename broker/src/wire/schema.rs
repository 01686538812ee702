//! Validates a request body against its schema before `kafka-protocol` decodes it.
//!
//! The decoder reserves memory for as many elements as an array claims to have, so a frame of 20 bytes could make it
//! allocate gigabytes and abort the process. Here every length is checked against the remaining bytes, and elements
//! are counted.
//!
//! A schema lists the fields in order, one letter each:
//! `b` 1 byte, `h` 2, `i` 4, `l` 8, `u` 16 (UUID), `s` string, `x` bytes, `[..]` array of structures,
//! `(..)` array of plain values, `{3-8 ..}` fields of versions 3 to 8, `!` in a structure: tagged fields are
//! refused (only brokers send them, and the decoder would interpret them).

/// Maximum number of array elements and tagged fields in a request; bounds the memory used for decoding.
const MAX_ELEMENTS: usize = 50_000;

/// A violation of the schema.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {at} of the body")]
pub struct SchemaError {
    /// What is wrong.
    pub reason: &'static str,
    /// Byte position in the body.
    pub at: usize,
}

/// Checks `body` against `schema`; returns the number of bytes consumed. Trailing bytes are not an error: librdkafka
/// 2.12 sends them in Metadata version 13 requests for all topics, and Apache Kafka 4.3.1 responds to those.
pub fn check(schema: &str, version: i16, flexible: bool, body: &[u8]) -> Result<usize, SchemaError> {
    let mut walker = Walker {
        body,
        at: 0,
        version,
        flexible,
        elements: 0,
    };
    walker.structure(schema.as_bytes())?;
    Ok(walker.at)
}

/// Checks a request header (key, version, correlation id, client id, tagged fields) and returns its length in bytes.
pub fn header_length(flexible: bool, frame: &[u8]) -> Result<usize, SchemaError> {
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
    fn error(&self, reason: &'static str) -> SchemaError {
        SchemaError { reason, at: self.at }
    }

    fn take(&mut self, count: usize) -> Result<&[u8], SchemaError> {
        let remaining = self.body.len().saturating_sub(self.at);
        if count > remaining {
            return Err(self.error("truncated"));
        }
        self.at += count;
        Ok(&self.body[self.at - count..self.at])
    }

    /// The fields of a structure, and its tagged fields in flexible versions.
    fn structure(&mut self, schema: &[u8]) -> Result<(), SchemaError> {
        self.fields(schema)?;
        if self.flexible {
            self.tags(!schema.contains(&b'!'))
        } else {
            Ok(())
        }
    }

    fn fields(&mut self, schema: &[u8]) -> Result<(), SchemaError> {
        let mut at = 0;
        while at < schema.len() {
            match schema[at] {
                b'b' => drop(self.take(1)?),
                b'h' => drop(self.take(2)?),
                b'i' => drop(self.take(4)?),
                b'l' => drop(self.take(8)?),
                b'u' => drop(self.take(16)?),
                b's' => self.sized(2)?,
                b'x' => self.sized(4)?,
                open @ (b'[' | b'(' | b'{') => {
                    let end = closing(schema, at);
                    self.nested(open, &schema[at + 1..end])?;
                    at = end;
                }
                _ => {}
            }
            at += 1;
        }
        Ok(())
    }

    fn nested(&mut self, open: u8, inner: &[u8]) -> Result<(), SchemaError> {
        if open == b'{' {
            let (range, fields) = version_range(inner);
            return if range.contains(&self.version) {
                self.fields(fields)
            } else {
                Ok(())
            };
        }
        for _ in 0..self.length(4)? {
            self.count_element()?;
            if open == b'[' {
                self.structure(inner)?
            } else {
                self.fields(inner)?
            }
        }
        Ok(())
    }

    fn count_element(&mut self) -> Result<(), SchemaError> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            Err(self.error("more than 50000 elements"))
        } else {
            Ok(())
        }
    }

    fn sized(&mut self, width: usize) -> Result<(), SchemaError> {
        let length = self.length(width)?;
        self.take(length).map(drop)
    }

    /// A length: a varint of length + 1 in flexible versions, else an integer of `width` bytes. Null is 0.
    fn length(&mut self, width: usize) -> Result<usize, SchemaError> {
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

    /// At most five bytes, the same as in the decoder.
    fn varint(&mut self) -> Result<u32, SchemaError> {
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

    fn tags(&mut self, allowed: bool) -> Result<(), SchemaError> {
        for _ in 0..self.varint()? {
            if !allowed {
                return Err(self.error("tagged field reserved for brokers"));
            }
            self.count_element()?;
            self.varint()?;
            let length = self.varint()? as usize;
            self.take(length)?;
        }
        Ok(())
    }
}

/// Index of the closing bracket for the one at `open`.
fn closing(schema: &[u8], open: usize) -> usize {
    let mut depth = 0;
    for (at, letter) in schema.iter().enumerate().skip(open) {
        match letter {
            b'[' | b'(' | b'{' => depth += 1,
            b']' | b')' | b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    schema.len()
}

/// Splits `3-8 fields` into the version range and the fields.
fn version_range(inner: &[u8]) -> (std::ops::RangeInclusive<i16>, &[u8]) {
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
    fn array_longer_than_the_body_is_refused() {
        let bomb = [0x7f, 0xff, 0xff, 0xff, 0, 0];
        assert_eq!(check("[s]", 0, false, &bomb).unwrap_err().reason, "truncated");
        let compact = [0xff, 0xff, 0xff, 0xff, 0x0f, 1];
        assert_eq!(check("(s)", 0, true, &compact).unwrap_err().reason, "truncated");
    }

    #[test]
    fn too_many_elements_are_refused() {
        let mut body = vec![0x81, 0x80, 0x08];
        body.extend(vec![1; 200_000]);
        assert_eq!(
            check("(s)", 0, true, &body).unwrap_err().reason,
            "more than 50000 elements"
        );
    }

    #[test]
    fn fields_depend_on_the_version() {
        assert_eq!(check("{3-8 h}b", 2, false, &[1]), Ok(1));
        assert_eq!(check("{3-8 h}b", 3, false, &[0, 0, 1]), Ok(3));
        assert!(check("{3-8 h}b", 3, false, &[0]).is_err());
        assert_eq!(check("{3-8 h}b", 9, false, &[1, 0]), Ok(1));
    }

    #[test]
    fn tagged_fields_reserved_for_brokers_are_refused() {
        let tagged = [1, 0, 1, 9];
        assert_eq!(check("", 0, true, &tagged), Ok(4));
        assert!(check("!", 0, true, &tagged).is_err());
    }
}
