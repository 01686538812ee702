//! The programs that platforms depend on, by hash.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::SystemTime;

use protocol::facts::Program;
use sha2::{Digest, Sha256};

/// The programs besides the workload and this one.
const NAMES: [&str; 7] = [
    "dockerd",
    "containerd",
    "runc",
    "runsc",
    "crun",
    "docker-proxy",
    "qemu-system-x86_64",
];

/// The folders that are searched besides those in `PATH`.
const FOLDERS: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The length and modification time of a file when it was hashed.
type Stamp = (u64, SystemTime);

/// A cache of hashes: DESCRIBE is frequent, and an engine is large.
static CACHE: LazyLock<Mutex<HashMap<PathBuf, (Stamp, String)>>> = LazyLock::new(Mutex::default);

/// The programs of the list that are installed, the workload and this program. Blocks while they are read.
#[must_use]
pub fn read(workload: &Path) -> Vec<Program> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path)
        .chain(std::env::split_paths(FOLDERS))
        .filter(|folder| folder.is_absolute())
        .collect();
    let find = |name: &str| {
        folders
            .iter()
            .map(|folder| folder.join(name))
            .find(|file| file.is_file())
    };
    let found = NAMES.into_iter().filter_map(find);
    let own = std::env::current_exe().ok();
    found
        .chain(own)
        .chain([workload.to_owned()])
        .filter_map(|path| program(&path).ok())
        .collect()
}

/// A file by its hash.
///
/// # Errors
/// It cannot be read.
pub fn program(path: &Path) -> io::Result<Program> {
    let metadata = fs::metadata(path)?;
    let stamp = (metadata.len(), metadata.modified()?);
    let shown = path.display().to_string();
    let program = |sha256| Program {
        path: shown.clone(),
        bytes: metadata.len(),
        sha256,
    };
    let cached = |cache: &HashMap<PathBuf, (Stamp, String)>| {
        let (known, sha256) = cache.get(path)?;
        (*known == stamp).then(|| sha256.clone())
    };
    if let Some(sha256) = cached(&CACHE.lock().unwrap_or_else(PoisonError::into_inner)) {
        return Ok(program(sha256));
    }
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut Writer(&mut hash))?;
    let sha256: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    cache.insert(path.to_owned(), (stamp, sha256.clone()));
    Ok(program(sha256))
}

/// Hashes what is written into it.
struct Writer<'a>(&'a mut Sha256);

impl io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_hashed_again_when_it_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("workload");
        let sum = || read(&path).into_iter().find(|p| p.path == path.display().to_string());
        assert_eq!(sum(), None);
        fs::write(&path, "abc").unwrap();
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sum().unwrap().sha256, abc);
        assert_eq!(sum().unwrap().sha256, abc);
        fs::write(&path, "abcd").unwrap();
        assert_ne!(sum().unwrap().sha256, abc);
    }
}
