//! Overlays: what a guest writes to a disk goes to a file of its own, which is thrown away with it.

use std::fs;
use std::path::{Path, PathBuf};

use protocol::ids::AttemptId;
use protocol::size::{Part, Size};

use crate::guest::Disk;
use crate::{DeployError, size};

/// An overlay's file. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Overlay {
    path: PathBuf,
    /// Bytes that it occupied when nothing was written yet.
    fresh: u64,
    kept: bool,
}

/// Where a runner's overlays are, below its state directory.
#[must_use]
pub(super) fn dir(state: &Path) -> PathBuf {
    state.join("guests/overlays")
}

impl Overlay {
    /// Makes a fresh one over a disk.
    pub(super) async fn make(state: &Path, disk: &Disk, attempt: AttemptId, name: &str) -> Result<Self, DeployError> {
        let dir = dir(state);
        let path = dir.join(format!("{attempt}-{name}.qcow2"));
        let failed = |source| DeployError::Io {
            what: format!("making the overlay {}", path.display()),
            source,
        };
        fs::create_dir_all(&dir).map_err(failed)?;
        let mut overlay = Self {
            path: path.clone(),
            fresh: 0,
            kept: false,
        };
        let made = tokio::process::Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2", "-F", disk.format.word(), "-b"])
            .arg(&disk.path)
            .arg(&path)
            .kill_on_drop(true)
            .output()
            .await
            .map_err(failed)?;
        if made.status.success() {
            overlay.fresh = overlay.occupied();
            return Ok(overlay);
        }
        Err(DeployError::Platform {
            platform: "qemu-img",
            message: String::from_utf8_lossy(&made.stderr).trim().replace('\n', " "),
        })
    }

    /// Its file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// By how much the guest's writing has let it grow.
    pub(super) fn written(&self) -> Size {
        Size {
            part: Part::Written,
            id: self.path.display().to_string(),
            bytes: self.occupied().saturating_sub(self.fresh),
        }
    }

    fn occupied(&self) -> u64 {
        size::file(Part::Written, &self.path).map_or(0, |size| size.bytes)
    }

    /// Removes it; says what is left.
    pub(super) fn remove(mut self) -> Option<String> {
        self.kept = true;
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Some(format!("overlay {}: {error}", self.path.display()))
            }
            _ => None,
        }
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes every overlay of a runner; says in words what was found.
#[must_use]
pub(super) fn sweep(state: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir(state)).into_iter().flatten().flatten();
    entries
        .map(|entry| match fs::remove_file(entry.path()) {
            Ok(()) => format!("removed overlay {}", entry.path().display()),
            Err(error) => format!("could not remove overlay {}: {error}", entry.path().display()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_runner_left_is_swept() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(sweep(state.path()), Vec::<String>::new());
        fs::create_dir_all(dir(state.path())).unwrap();
        fs::write(dir(state.path()).join("a.qcow2"), "x").unwrap();
        let found = sweep(state.path());
        assert!(
            found.len() == 1 && found[0].starts_with("removed overlay "),
            "{found:?}"
        );
        assert_eq!(fs::read_dir(dir(state.path())).unwrap().count(), 0);
    }
}
