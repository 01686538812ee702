//! The files of one guest: overlays over its writable disks, its cloud-init seed, Firecracker's configuration. They are deleted with it.
//!
//! A guest's writes go to its overlays. All such files of a runner are in one directory, so those of a crashed runner are found.

use std::fs;
use std::path::{Path, PathBuf};

use protocol::ids::{AttemptId, Name};
use protocol::size::{Part, Size};

use super::micro::firecracker_config;
use super::spec::VmSpec;
use crate::guest::{Disk, Vmm};
use crate::{DeployError, size};

/// The files of one guest.
#[derive(Debug, Default)]
pub(super) struct GuestFiles {
    /// Its overlays, in the order of the writable disks.
    pub(super) overlays: Vec<Overlay>,
    /// The seed that its cloud-init reads.
    pub(super) seed: Option<TempFile>,
    /// The configuration file that Firecracker reads.
    pub(super) config: Option<TempFile>,
}

/// A temporary file of one guest. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct TempFile {
    path: PathBuf,
    removed: bool,
}

/// An overlay, which takes a guest's writes to a disk.
#[derive(Debug)]
pub(super) struct Overlay {
    file: TempFile,
    /// Bytes that it occupied before anything was written.
    fresh: u64,
}

/// The directory of these files in a runner's state directory.
#[must_use]
pub(super) fn dir(state: &Path) -> PathBuf {
    state.join("guests/overlays")
}

impl GuestFiles {
    /// Writes Firecracker's configuration file, if Firecracker runs the guest.
    pub(super) fn write_config(
        &mut self,
        spec: &mut VmSpec,
        state: &Path,
        attempt: AttemptId,
        service: &Name,
    ) -> Result<(), DeployError> {
        if spec.vmm == Vmm::Firecracker {
            let config = firecracker_config(spec).to_string();
            let file = TempFile::write(state, attempt, &format!("{service}.json"), config.as_bytes())?;
            spec.config = Some(file.path().to_owned());
            self.config = Some(file);
        }
        Ok(())
    }

    /// The sizes of what the guest has written.
    pub(super) fn written(&self) -> impl Iterator<Item = Size> {
        self.overlays.iter().map(Overlay::written)
    }

    /// Removes all of them. Returns what could not be removed.
    pub(super) fn remove(&mut self) -> Vec<String> {
        let files = self.overlays.drain(..).map(|overlay| overlay.file);
        files
            .chain(self.seed.take())
            .chain(self.config.take())
            .filter_map(TempFile::remove)
            .collect()
    }
}

impl TempFile {
    /// A file that does not exist yet, in a directory that does.
    pub(super) fn new(state: &Path, attempt: AttemptId, name: &str) -> Result<Self, DeployError> {
        let dir = dir(state);
        let path = dir.join(format!("{attempt}-{name}"));
        fs::create_dir_all(&dir).map_err(|source| io_error(&path, source))?;
        Ok(Self { path, removed: false })
    }

    /// A file with these bytes.
    pub(super) fn write(state: &Path, attempt: AttemptId, name: &str, bytes: &[u8]) -> Result<Self, DeployError> {
        let file = Self::new(state, attempt, name)?;
        fs::write(&file.path, bytes).map_err(|source| io_error(&file.path, source))?;
        Ok(file)
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it. Returns it if that fails.
    fn remove(mut self) -> Option<String> {
        self.removed = true;
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Some(format!("overlay {}: {error}", self.path.display()))
            }
            _ => None,
        }
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.removed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Overlay {
    /// Creates an empty overlay over a disk.
    pub(super) async fn create(state: &Path, disk: &Disk, attempt: AttemptId, name: &str) -> Result<Self, DeployError> {
        let file = TempFile::new(state, attempt, &format!("{name}.qcow2"))?;
        let output = tokio::process::Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2", "-F", disk.format.name(), "-b"])
            .arg(&disk.path)
            .arg(&file.path)
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|source| io_error(&file.path, source))?;
        if output.status.success() {
            let fresh = occupied(&file.path);
            return Ok(Self { file, fresh });
        }
        Err(tool_error("qemu-img", &output.stderr))
    }

    /// Writes boot arguments, with a zero byte at their end, where the disk's boot sector reads them. They do not count as written by the guest.
    pub(super) async fn write_arguments(&mut self, at: u64, text: &str) -> Result<(), DeployError> {
        let file = TempFile {
            path: self.path().with_extension("arguments"),
            removed: false,
        };
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        fs::write(file.path(), &bytes).map_err(|source| io_error(file.path(), source))?;
        // qemu-io splits its commands at spaces: the file names here have none, whatever the path to them.
        let name = file.path().file_name().unwrap_or_default().to_string_lossy();
        let command = format!("write -q -s {name} {at} {}", bytes.len());
        let output = tokio::process::Command::new("qemu-io")
            .args(["-f", "qcow2", "-c"])
            .arg(command)
            .arg(self.path().file_name().unwrap_or_default())
            .current_dir(self.path().parent().unwrap_or(Path::new("/")))
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|source| io_error(self.path(), source))?;
        // It exits with 0 even if the write failed, but prints the error.
        if !output.status.success() || !output.stderr.is_empty() || !output.stdout.is_empty() {
            return Err(tool_error("qemu-io", &[output.stdout, output.stderr].concat()));
        }
        self.fresh = occupied(self.path());
        Ok(())
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// How much it has grown since the guest started.
    fn written(&self) -> Size {
        Size {
            part: Part::Written,
            id: self.path().display().to_string(),
            bytes: occupied(self.path()).saturating_sub(self.fresh),
        }
    }
}

fn occupied(path: &Path) -> u64 {
    size::file(Part::Written, path).map_or(0, |size| size.bytes)
}

/// An error that one of QEMU's tools printed.
fn tool_error(platform: &'static str, output: &[u8]) -> DeployError {
    DeployError::Platform {
        platform,
        message: String::from_utf8_lossy(output).trim().replace('\n', " "),
    }
}

fn io_error(path: &Path, source: std::io::Error) -> DeployError {
    DeployError::Io {
        what: format!("creating {}", path.display()),
        source,
    }
}

/// Removes all such files of a runner. Returns a line for each.
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
    fn what_a_crashed_runner_left_is_swept() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(sweep(state.path()), Vec::<String>::new());
        let file = TempFile::write(state.path(), AttemptId::fresh(), "a.seed", b"x").unwrap();
        std::mem::forget(file);
        let found = sweep(state.path());
        assert!(
            found.len() == 1 && found[0].starts_with("removed overlay "),
            "{found:?}"
        );
        assert_eq!(fs::read_dir(dir(state.path())).unwrap().count(), 0);
    }

    #[test]
    fn a_dropped_file_is_removed() {
        let state = tempfile::tempdir().unwrap();
        let file = TempFile::write(state.path(), AttemptId::fresh(), "a.seed", b"x").unwrap();
        let path = file.path().to_owned();
        assert!(path.exists());
        drop(file);
        assert!(!path.exists());
    }
}
