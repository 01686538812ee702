//! The programs that platforms rest on, by the hash of their bytes.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::SystemTime;

use protocol::facts::Program;
use sha2::{Digest, Sha256};

/// What is looked for besides the workload and this program.
const NAMES: [&str; 7] = [
    "dockerd",
    "containerd",
    "runc",
    "runsc",
    "crun",
    "docker-proxy",
    "qemu-system-x86_64",
];

/// Where, besides the folders of `PATH`.
const FOLDERS: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A file as it was hashed last: its length and time of change.
type Stamp = (u64, SystemTime);

/// Hashes of files that have not changed since: DESCRIBE comes often, and an engine is large.
static HASHED: LazyLock<Mutex<HashMap<PathBuf, (Stamp, String)>>> = LazyLock::new(Mutex::default);

/// Every program of the list that is installed, with the workload and this program. Blocks as long as reading them takes.
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

fn program(path: &Path) -> io::Result<Program> {
    let about = fs::metadata(path)?;
    let stamp = (about.len(), about.modified()?);
    let shown = path.display().to_string();
    let done = |sha256| Program {
        path: shown.clone(),
        bytes: about.len(),
        sha256,
    };
    let hashed = |hashes: &HashMap<PathBuf, (Stamp, String)>| {
        let (then, sha256) = hashes.get(path)?;
        (*then == stamp).then(|| sha256.clone())
    };
    if let Some(sha256) = hashed(&HASHED.lock().unwrap_or_else(PoisonError::into_inner)) {
        return Ok(done(sha256));
    }
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut Writer(&mut hash))?;
    let sha256: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut hashes = HASHED.lock().unwrap_or_else(PoisonError::into_inner);
    hashes.insert(path.to_owned(), (stamp, sha256.clone()));
    Ok(done(sha256))
}

/// What is written into it is hashed.
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
