//! The directory of a service's files, fresh in every deployment.
//!
//! All of a runner are in one directory of its state, so that those of a crashed runner are found.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::unistd::User;
use protocol::size::{Part, Size};
use protocol::spec::{FileContent, Fill, GeneratedContent, ServiceFile, Values};
use protocol::toml::parse_size;

use super::Described;
use super::described::fill;
use super::task::STARTER;
use crate::mark::Mark;
use crate::procfs::Procfs;
use crate::{DeployError, process, size};

/// The directory of a service's files. Dropping it removes it with everything in it.
#[derive(Debug)]
pub(crate) struct ServiceDir {
    path: PathBuf,
    /// What the files of the description occupy, bytes.
    fresh: u64,
    removed: bool,
}

impl ServiceDir {
    /// Writes the files of a description. `values`: those of the place where the service runs. `owner`: to whom they belong; `None`: the runner's user.
    ///
    /// # Errors
    /// [`DeployError`] for a file that cannot be written, or contents beyond the limit.
    pub(crate) fn create(
        path: PathBuf,
        described: &Described,
        values: &Values,
        owner: Option<&User>,
    ) -> Result<Self, DeployError> {
        let failed = |path: &Path| {
            let what = format!("writing {}", path.display());
            move |source| DeployError::Io { what, source }
        };
        let mut dir = Self {
            path,
            fresh: 0,
            removed: false,
        };
        fs::create_dir_all(&dir.path).map_err(failed(&dir.path))?;
        let mut left = described.data_limit();
        for file in &described.description().files {
            let at = dir.path.join(file.path.as_str());
            let write = || -> io::Result<()> {
                at.parent().map_or(Ok(()), fs::create_dir_all)?;
                File::create_new(&at).map(drop)
            };
            write().map_err(failed(&at))?;
            let length = write_content(&at, file, described, values, left)?;
            left -= length;
            if file.executable {
                fs::set_permissions(&at, Permissions::from_mode(0o755)).map_err(failed(&at))?;
            }
        }
        if described.task().is_some() {
            let at = dir.path.join(STARTER);
            fs::copy(described.starter()?, &at).map_err(failed(&at))?;
            fs::set_permissions(&at, Permissions::from_mode(0o755)).map_err(failed(&at))?;
        }
        if let Some(owner) = owner {
            chown_all(&dir.path, owner).map_err(failed(&dir.path))?;
        }
        dir.fresh = size::tree(Part::Written, &dir.path).bytes;
        Ok(dir)
    }

    /// Its path, absolute.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What was written besides the files of the description.
    pub(crate) fn written(&self) -> Size {
        let now = size::tree(Part::Written, &self.path);
        Size {
            bytes: now.bytes.saturating_sub(self.fresh),
            ..now
        }
    }

    /// Removes it. Returns it if that fails.
    pub(crate) fn remove(mut self) -> Option<String> {
        self.removed = true;
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Some(format!("{}: {error}", self.path.display())),
            _ => None,
        }
    }
}

impl Drop for ServiceDir {
    fn drop(&mut self) {
        if !self.removed {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Where all directories of a runner are.
fn parent(state: &Path) -> PathBuf {
    state.join("working")
}

/// Where the directory of a service is.
///
/// # Errors
/// [`DeployError::Io`] if the current directory, which `state` may be relative to, does not exist.
pub(crate) fn path(state: &Path, mark: &Mark) -> Result<PathBuf, DeployError> {
    let path = parent(state).join(format!("{}-{}", mark.attempt, mark.service));
    std::path::absolute(&path).map_err(|source| DeployError::Io {
        what: format!("finding {}", path.display()),
        source,
    })
}

/// Kills what works in the directories of a runner, and removes them. Returns a line for each.
///
/// Programs that set their title (nginx, Redis) overwrite their environment and with it the mark; their working directory still tells whose they are.
pub(crate) async fn sweep(state: &Path) -> Vec<String> {
    let Ok(parent) = parent(state).canonicalize() else {
        return Vec::new();
    };
    let procfs = Procfs::default();
    let working = || procfs.working_below(&parent);
    let mut found: Vec<String> = working()
        .iter()
        .map(|pid| format!("killed pid {pid} of a service"))
        .collect();
    process::kill_all(working).await;
    let entries = fs::read_dir(&parent).into_iter().flatten().flatten();
    found.extend(entries.map(|entry| match fs::remove_dir_all(entry.path()) {
        Ok(()) => format!("removed {}", entry.path().display()),
        Err(error) => format!("could not remove {}: {error}", entry.path().display()),
    }));
    found
}

/// Directories that were written before the timed start, until a deployment takes them.
#[derive(Clone, Debug, Default)]
pub(crate) struct PreparedDirs(Arc<Mutex<BTreeMap<PathBuf, ServiceDir>>>);

impl PreparedDirs {
    /// Keeps a directory.
    pub(crate) fn put(&self, dir: ServiceDir) {
        let mut dirs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        dirs.insert(dir.path().to_owned(), dir);
    }

    /// Takes the directory at a path, if it was prepared.
    pub(crate) fn take(&self, path: &Path) -> Option<ServiceDir> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(path)
    }
}

/// Writes a file's content, of at most `limit` bytes. Returns its length.
fn write_content(
    at: &Path,
    file: &ServiceFile,
    described: &Described,
    values: &Values,
    limit: u64,
) -> Result<u64, DeployError> {
    let too_long = |bytes: u64| DeployError::Unmet {
        need: format!(
            "the file {} of {bytes} bytes exceeds what is left of the {} bytes that a service's files may have",
            file.path,
            described.data_limit()
        ),
        remedy: "make it shorter, or raise data_mib under [allow] in the runner's configuration".into(),
    };
    let failed = |source| DeployError::Io {
        what: format!("writing {}", at.display()),
        source,
    };
    match &file.content {
        FileContent::Text(text) => {
            let text = fill(text, values)?;
            let length = text.len() as u64;
            if length > limit {
                return Err(too_long(length));
            }
            fs::write(at, text).map(|()| length).map_err(failed)
        }
        FileContent::Generated(generated) => {
            let length = length(file, generated, values)?;
            if length > limit {
                return Err(too_long(length));
            }
            generate(at, generated.fill, length).map(|()| length).map_err(failed)
        }
        FileContent::Copied(from) => {
            let Some(folder) = described.folder() else {
                return Err(DeployError::Unmet {
                    need: format!(
                        "the file {} is a copy of {from}, and a description in a message has no folder",
                        file.path
                    ),
                    remedy: "write its contents, or put the description into services/ on the target host".into(),
                });
            };
            let from = folder.join(from.as_str());
            let reading = |source| DeployError::Io {
                what: format!("copying {} for the service", from.display()),
                source,
            };
            let length = fs::metadata(&from).map_err(reading)?.len();
            if length > limit {
                return Err(too_long(length));
            }
            fs::copy(&from, at).map_err(reading)
        }
    }
}

fn length(file: &ServiceFile, generated: &GeneratedContent, values: &Values) -> Result<u64, DeployError> {
    let text = fill(&generated.bytes, values)?;
    let length = text.parse().ok().or_else(|| parse_size(&text).ok());
    length.ok_or_else(|| DeployError::Unmet {
        need: format!("the file {} has bytes = {text:?}, which is not a size", file.path),
        remedy: "write a number of bytes, or e.g. \"64KiB\"".into(),
    })
}

/// Writes so many bytes, the same for the same length.
fn generate(at: &Path, fill: Fill, length: u64) -> io::Result<()> {
    const BLOCK: usize = 1 << 16;
    let mut file = File::create(at)?;
    let mut state = length | 1;
    let mut block = vec![b'A'; BLOCK];
    let mut left = length;
    while left > 0 {
        if fill == Fill::Random {
            // xorshift64*: fast, and only has to be incompressible and repeatable.
            for bytes in block.chunks_exact_mut(8) {
                state ^= state >> 12;
                state ^= state << 25;
                state ^= state >> 27;
                bytes.copy_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
            }
        }
        let now = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        file.write_all(&block[..now])?;
        left -= now as u64;
    }
    Ok(())
}

fn chown_all(path: &Path, owner: &User) -> io::Result<()> {
    chown(path, Some(owner.uid.as_raw()), Some(owner.gid.as_raw()))?;
    if !path.is_dir() {
        return Ok(());
    }
    fs::read_dir(path)?.try_for_each(|entry| chown_all(&entry?.path(), owner))
}

#[cfg(test)]
mod tests {
    use protocol::ids::AttemptId;

    use super::*;

    fn described(files: &str, folder: Option<PathBuf>) -> Described {
        let text =
            format!("parameters = {{ size = 100 }}\n{files}\n[native]\nprogram = 'x'\n[ready]\nkind = 'started'\n");
        let description = protocol::description::parse("x", &text).unwrap();
        let values = description.values(&BTreeMap::new()).unwrap();
        Described::new(description, values, folder, 1 << 20).unwrap()
    }

    fn create(state: &Path, described: &Described) -> Result<ServiceDir, DeployError> {
        let mark = Mark {
            runner: "lab".parse().unwrap(),
            attempt: AttemptId::fresh(),
            service: "web".parse().unwrap(),
        };
        let path = path(state, &mark)?;
        let values = described.values("web", None, &path);
        ServiceDir::create(path, described, &values, None)
    }

    #[test]
    fn files_are_written_with_their_values_and_removed_with_everything_in_it() {
        let state = tempfile::tempdir().unwrap();
        fs::write(state.path().join("beside"), "x").unwrap();
        let files = "[[file]]\npath = 'a/b.conf'\ncontents = 'of {service} in {dir} with {size}'\n\
                     [[file]]\npath = 'data'\nbytes = '{size}'\n[[file]]\npath = 'noise'\nbytes = '100kB'\nfill = 'random'\n\
                     [[file]]\npath = 'copy'\nfrom = 'beside'\nexecutable = true\n";
        let described = described(files, Some(state.path().to_owned()));
        let dir = create(state.path(), &described).unwrap();
        let text = fs::read_to_string(dir.path().join("a/b.conf")).unwrap();
        assert_eq!(text, format!("of web in {} with 100", dir.path().display()));
        assert_eq!(fs::read(dir.path().join("data")).unwrap(), [b'A'; 100]);
        let noise = fs::read(dir.path().join("noise")).unwrap();
        assert_eq!(noise.len(), 100_000);
        let ones: u32 = noise.iter().map(|byte| byte.count_ones()).sum();
        assert!((390_000..410_000).contains(&ones), "{ones} of 800000 bits");
        assert_eq!(
            fs::metadata(dir.path().join("copy")).unwrap().permissions().mode() & 0o777,
            0o755
        );
        assert_eq!(dir.written().bytes, 0);
        fs::write(dir.path().join("log"), [0; 10_000]).unwrap();
        assert!((10_000..13_000).contains(&dir.written().bytes), "{:?}", dir.written());
        let path = dir.path().to_owned();
        assert_eq!(dir.remove(), None);
        assert!(!path.exists());
        let dropped = create(state.path(), &described).unwrap().path().to_owned();
        assert!(!dropped.exists());
    }

    #[test]
    fn what_is_too_large_or_missing_is_refused_and_leaves_nothing() {
        let state = tempfile::tempdir().unwrap();
        let refusal = |files: &str| create(state.path(), &described(files, None)).unwrap_err().to_string();
        let error = refusal("[[file]]\npath = 'data'\nbytes = '1GB'\n");
        assert!(
            error.contains("file data of 1000000000 bytes") && error.contains("data_mib"),
            "{error}"
        );
        assert!(refusal("[[file]]\npath = 'data'\nbytes = 'much'\n").contains("is not a size"));
        assert!(refusal("[[file]]\npath = 'data'\nfrom = 'x'\n").contains("in a message has no folder"));
        let left = fs::read_dir(state.path().join("working")).unwrap().count();
        assert_eq!(left, 0);
    }

    #[tokio::test]
    async fn what_a_crashed_runner_left_is_swept() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(sweep(state.path()).await, Vec::<String>::new());
        let dir = create(state.path(), &described("", None)).unwrap();
        let mut sleep = std::process::Command::new("sleep");
        let mut process = sleep.arg("600").env_clear().current_dir(dir.path()).spawn().unwrap();
        std::mem::forget(dir);
        assert_eq!(
            sweep(state.path()).await.len(),
            2,
            "a process without a mark, and a directory"
        );
        assert!(!process.wait().unwrap().success());
        assert_eq!(sweep(state.path()).await, Vec::<String>::new());
    }
}
