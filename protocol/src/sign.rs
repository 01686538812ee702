//! HMAC-SHA256 (RFC 2104) over an envelope: only holders of the lab's key can start or stop anything on a runner.
//!
//! A signature authenticates the sender and the content. It does not encrypt (use TLS) and does not prevent replay; the epoch check and the
//! deduplication by attempt id make a replay harmless.

use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::files::{self, FileError};

/// A key shared by the controllers, runners and loaders of a lab.
#[derive(Clone)]
pub struct SigningKey(Vec<u8>);

/// Minimum length of a key, bytes.
pub const MIN_KEY_BYTES: usize = 16;

/// The key is too short.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a signing key of {bytes} bytes is too short: use at least {MIN_KEY_BYTES}, e.g. from `openssl rand -hex 32`")]
pub struct ShortKey {
    /// Its length, bytes.
    pub bytes: usize,
}

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file is unusable.
    #[error(transparent)]
    File(#[from] FileError),
    /// The key is too short.
    #[error(transparent)]
    Short(#[from] ShortKey),
}

impl SigningKey {
    /// Reads a key file.
    ///
    /// # Errors
    /// See [`KeyFileError`]; it does not include the path.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let bytes = files::read(path)?;
        if bytes.trim_ascii().is_empty() {
            return Err(FileError::Empty.into());
        }
        Ok(Self::new(&bytes)?)
    }

    /// A key from the content of a key file; surrounding white space is ignored.
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

    /// Signs a text: 64 hexadecimal digits.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        self.mac(text)
            .finalize()
            .into_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Verifies a signature in constant time.
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
    fn signature_matches_rfc_4231_case_6() {
        let key = SigningKey(vec![0xaa; 131]);
        let expected = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
        assert_eq!(
            key.sign("Test Using Larger Than Block-Size Key - Hash Key First"),
            expected
        );
    }

    #[test]
    fn an_unusable_key_file_is_an_error_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lab.key");
        let error = || SigningKey::read(&file).unwrap_err().to_string();
        assert!(error().contains("cannot be read: No such file"), "{}", error());
        for (text, why) in [
            ("", "is empty"),
            (" \n", "is empty"),
            ("short", "of 5 bytes is too short"),
        ] {
            std::fs::write(&file, text).unwrap();
            assert!(error().contains(why), "{}", error());
        }
        std::fs::write(&file, "0123456789abcdef\n").unwrap();
        SigningKey::read(&file).unwrap();
    }

    #[test]
    fn only_the_same_text_and_key_are_accepted() {
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
