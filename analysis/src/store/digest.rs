//! SHA-256 checksums.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::{At, StoreError};

/// Length and checksum of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSum {
    /// Length, bytes.
    pub bytes: u64,
    /// SHA-256, 64 hexadecimal digits.
    pub sha256: String,
}

impl FileSum {
    /// The checksum of bytes in memory.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.len() as u64,
            sha256: hex(&Sha256::digest(bytes)),
        }
    }

    /// The checksum of a file on disk, read in chunks.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn of_file(path: &Path) -> Result<Self, StoreError> {
        let mut reader = BufReader::with_capacity(1 << 18, File::open(path).at(path, "open")?);
        let mut sink = HashingWriter::new(io::sink());
        io::copy(&mut reader.by_ref(), &mut sink).at(path, "read")?;
        Ok(sink.finish().0)
    }
}

/// A writer that computes the checksum of what passes through it.
#[derive(Debug)]
pub struct HashingWriter<W> {
    inner: W,
    sum: Sha256,
    bytes: u64,
}

impl<W: Write> HashingWriter<W> {
    /// Wraps a writer.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            sum: Sha256::new(),
            bytes: 0,
        }
    }

    /// The checksum, and the inner writer.
    pub fn finish(self) -> (FileSum, W) {
        let sum = FileSum {
            bytes: self.bytes,
            sha256: hex(&self.sum.finalize()),
        };
        (sum, self.inner)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let taken = self.inner.write(buffer)?;
        self.sum.update(&buffer[..taken]);
        self.bytes += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_fips_180() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(FileSum::of_bytes(b"abc").sha256, expected);
        let mut writer = HashingWriter::new(Vec::new());
        writer.write_all(b"a").unwrap();
        writer.write_all(b"bc").unwrap();
        let (sum, inner) = writer.finish();
        assert_eq!(
            (sum.sha256.as_str(), sum.bytes, inner.as_slice()),
            (expected, 3, &b"abc"[..])
        );
    }
}
