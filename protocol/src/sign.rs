//! HMAC-SHA256 (RFC 2104) over an envelope: who does not have the lab's key cannot start or stop anything on a runner.
//!
//! A signature proves the sender and the content. It does not hide the content (use TLS), and a recorded message can be sent again: the
//! runner's epoch check and deduplication by attempt make a replay harmless.

use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::files::{self, FileFault};

/// A key shared by the controllers and runners of a lab.
#[derive(Clone)]
pub struct SigningKey(Vec<u8>);

/// The fewest bytes of a key.
pub const MIN_KEY_BYTES: usize = 16;

/// Why bytes cannot be a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a signing key of {bytes} bytes is too short: take at least {MIN_KEY_BYTES}, e.g. from `openssl rand -hex 32`")]
pub struct ShortKey {
    /// How many it has.
    pub bytes: usize,
}

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// There is nothing to read.
    #[error(transparent)]
    File(#[from] FileFault),
    /// The key is too short.
    #[error(transparent)]
    Short(#[from] ShortKey),
}

impl SigningKey {
    /// The key in a file.
    ///
    /// # Errors
    /// See [`KeyFileError`]; it does not name the file.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let bytes = files::read(path)?;
        if bytes.trim_ascii().is_empty() {
            return Err(FileFault::Empty.into());
        }
        Ok(Self::new(&bytes)?)
    }

    /// A key out of the bytes of a key file; white space around them does not count.
    ///
    /// # Errors
    /// [`ShortKey`] under [`MIN_KEY_BYTES`].
    pub fn new(bytes: &[u8]) -> Result<Self, ShortKey> {
        let bytes = bytes.trim_ascii();
        if bytes.len() < MIN_KEY_BYTES {
            return Err(ShortKey { bytes: bytes.len() });
        }
        Ok(Self(bytes.to_vec()))
    }

    /// The signature of a text, 64 hexadecimal digits.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        self.mac(text)
            .finalize()
            .into_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Whether this is the signature of a text; takes the same time wherever it differs.
    #[must_use]
    pub fn verify(&self, text: &str, signature: &str) -> bool {
        let pair = |i: usize| {
            signature
                .get(i..i + 2)
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
        };
        let bytes: Option<Vec<u8>> = (0..signature.len()).step_by(2).map(pair).collect();
        bytes.is_some_and(|bytes| self.mac(text).verify_slice(&bytes).is_ok())
    }

    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    fn mac(&self, text: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(text.as_bytes());
        mac
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_of_rfc_4231_case_6() {
        let key = SigningKey(vec![0xaa; 131]);
        let expected = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
        assert_eq!(
            key.sign("Test Using Larger Than Block-Size Key - Hash Key First"),
            expected
        );
    }

    #[test]
    fn a_key_file_that_cannot_be_used_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lab.key");
        let said = || SigningKey::read(&file).unwrap_err().to_string();
        assert!(said().contains("cannot be read: No such file"), "{}", said());
        for (text, why) in [
            ("", "is empty"),
            (" \n", "is empty"),
            ("short", "of 5 bytes is too short"),
        ] {
            std::fs::write(&file, text).unwrap();
            assert!(said().contains(why), "{}", said());
        }
        std::fs::write(&file, "0123456789abcdef\n").unwrap();
        SigningKey::read(&file).unwrap();
    }

    #[test]
    fn only_the_same_text_and_key_verify() {
        let key = SigningKey::new(b" 0123456789abcdef\n").unwrap();
        let signature = key.sign("text");
        assert!(key.verify("text", &signature));
        assert!(!key.verify("texT", &signature));
        assert!(
            !SigningKey::new(b"another key 123456")
                .unwrap()
                .verify("text", &signature)
        );
        for odd in ["", "0", "zz", "é", &signature[1..]] {
            assert!(!key.verify("text", odd), "{odd}");
        }
        assert_eq!(SigningKey::new(b"short").unwrap_err(), ShortKey { bytes: 5 });
    }
}
