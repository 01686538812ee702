//! The `workload` program as a file: its hash and its linkage.

use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::DeployError;

/// `p_type` of the program header that names a dynamic loader.
const PT_INTERP: u32 = 3;

/// A program's hash and linkage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    sha256: String,
    linking: Linking,
}

/// How a program is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Linking {
    /// Statically: it needs no other file.
    Static,
    /// Dynamically: it needs a loader and shared libraries.
    Dynamic,
    /// Not a 64-bit little-endian ELF file (a script, for example).
    Unknown,
}

impl Binary {
    /// Reads a program on a blocking thread.
    ///
    /// # Errors
    /// [`DeployError::Io`] with the path.
    pub async fn read(path: &Path) -> Result<Self, DeployError> {
        let owned = path.to_owned();
        let outcome = tokio::task::spawn_blocking(move || Self::read_now(&owned)).await;
        outcome
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|source| DeployError::Io {
                what: format!("reading the workload program {}", path.display()),
                source,
            })
    }

    /// Reads a program that must be static. `why`: what the remedy gives as the reason.
    ///
    /// # Errors
    /// [`DeployError::Io`], and [`DeployError::Unmet`] if it is not static.
    pub(crate) async fn read_static(path: &Path, why: &str) -> Result<Self, DeployError> {
        let binary = Self::read(path).await?;
        if binary.linking == Linking::Static {
            return Ok(binary);
        }
        let (path, linking) = (path.display(), binary.linking());
        Err(DeployError::Unmet {
            need: format!("the workload program {path} is not static ({linking})"),
            remedy: format!("build it with deploy/build-workload.sh: {why} has no dynamic loader and no libraries"),
        })
    }

    /// SHA-256 of the file, in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// `static`, `dynamic` or `unknown`.
    #[must_use]
    pub const fn linking(&self) -> &'static str {
        match self.linking {
            Linking::Static => "static",
            Linking::Dynamic => "dynamic",
            Linking::Unknown => "unknown",
        }
    }

    fn read_now(path: &Path) -> io::Result<Self> {
        let mut file = std::fs::File::open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Self {
            sha256: hex(&Sha256::digest(&bytes)),
            linking: linking(&bytes),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Looks for a program header that names a loader (offsets: elf(5)). A static-pie program has a dynamic section, but no loader.
fn linking(elf: &[u8]) -> Linking {
    headers(elf).map_or(Linking::Unknown, |types| {
        if types.contains(&PT_INTERP) {
            Linking::Dynamic
        } else {
            Linking::Static
        }
    })
}

/// The dynamic loader that a program names (`PT_INTERP`); `None`: it needs none, or is no 64-bit little-endian ELF file.
pub(crate) fn interpreter(elf: &[u8]) -> Option<String> {
    let index = headers(elf)?.iter().position(|&kind| kind == PT_INTERP)?;
    let field = |at: usize| -> Option<usize> {
        usize::try_from(u64::from_le_bytes(elf.get(at..at.checked_add(8)?)?.try_into().ok()?)).ok()
    };
    let size = usize::from(u16::from_le_bytes(elf.get(54..56)?.try_into().ok()?));
    let header = field(32)?.checked_add(index.checked_mul(size)?)?;
    let (offset, length) = (field(header.checked_add(8)?)?, field(header.checked_add(32)?)?);
    let path = elf.get(offset..offset.checked_add(length)?)?;
    let path = std::str::from_utf8(path).ok()?.trim_end_matches('\0');
    path.starts_with('/').then(|| path.to_owned())
}

fn headers(elf: &[u8]) -> Option<Vec<u32>> {
    if !elf.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let offset = usize::try_from(u64::from_le_bytes(elf.get(32..40)?.try_into().ok()?)).ok()?;
    let size = usize::from(u16::from_le_bytes(elf.get(54..56)?.try_into().ok()?));
    let count = usize::from(u16::from_le_bytes(elf.get(56..58)?.try_into().ok()?));
    (0..count)
        .map(|index| {
            let at = offset.checked_add(index.checked_mul(size)?)?;
            Some(u32::from_le_bytes(elf.get(at..at.checked_add(4)?)?.try_into().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn elf(types: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; 64 + types.len() * 56];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = u8::try_from(types.len()).unwrap();
        for (index, kind) in types.iter().enumerate() {
            bytes[64 + index * 56..][..4].copy_from_slice(&kind.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn a_loader_makes_it_dynamic() {
        assert_eq!(linking(&elf(&[6, 3, 1])), Linking::Dynamic);
        assert_eq!(linking(&elf(&[1, 2, 4])), Linking::Static);
        assert_eq!(linking(b"#!/bin/sh\n"), Linking::Unknown);
        assert_eq!(linking(&elf(&[1, 1])[..100]), Linking::Unknown);
    }

    #[tokio::test]
    async fn this_test_is_dynamic_and_hashed() {
        let binary = Binary::read(&std::env::current_exe().unwrap()).await.unwrap();
        assert_eq!((binary.linking(), binary.sha256().len()), ("dynamic", 64));
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(
            interpreter(&bytes).unwrap().starts_with("/lib"),
            "{:?}",
            interpreter(&bytes)
        );
        assert_eq!(interpreter(b"#!/bin/sh\n"), None);
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let error = Binary::read(Path::new("/nowhere/workload"))
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("/nowhere/workload"), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            linking(&bytes);
            bytes.splice(0..0, *b"\x7fELF\x02\x01");
            linking(&bytes);
            interpreter(&bytes);
        }
    }
}
