//! Two runners must not share a state folder or, on one host, a name: each would remove what the other runs.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use protocol::Name;

/// Both locks. They are released when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _folder: Flock<File>,
    _name: UnixListener,
}

/// The runner cannot start here.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The state folder cannot be used.
    #[error(
        "state folder {}: {source}: set `--state` or the key `state` to a folder that is yours, or run as root",
        path.display()
    )]
    Folder {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Another runner uses the state folder.
    #[error(
        "another runner (pid {pid}) uses the state folder {}: stop it, or give this one another `--state` and `--name`",
        path.display()
    )]
    FolderTaken {
        /// Its path.
        path: PathBuf,
        /// The other runner.
        pid: String,
    },
    /// Another runner of this host has the name.
    #[error("another runner on this host has the name {name}: stop it, or give this one another `--name`")]
    NameTaken {
        /// The name.
        name: Name,
    },
}

/// Creates the state folder and locks it and the name.
///
/// # Errors
/// See [`LockError`].
pub fn lock(state: &Path, name: &Name) -> Result<Lock, LockError> {
    let folder = lock_folder(state)?;
    // An abstract socket has no file and ends with its process.
    let address = SocketAddr::from_abstract_name(format!("jung-runner-{name}"));
    let listener = address.and_then(|address| UnixListener::bind_addr(&address));
    Ok(Lock {
        _folder: folder,
        _name: listener.map_err(|_| LockError::NameTaken { name: name.clone() })?,
    })
}

fn lock_folder(state: &Path) -> Result<Flock<File>, LockError> {
    let path = state.to_owned();
    let open = || -> io::Result<File> {
        fs::create_dir_all(state)?;
        File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(state.join("lock"))
    };
    let file = open().map_err(|source| LockError::Folder {
        path: path.clone(),
        source,
    })?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            let note = lock.set_len(0).and_then(|()| write!(lock, "{}", std::process::id()));
            note.map_err(|source| LockError::Folder { path, source })?;
            Ok(lock)
        }
        Err(_) => Err(LockError::FolderTaken {
            pid: fs::read_to_string(state.join("lock")).unwrap_or_default(),
            path,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_name(suffix: &str) -> Name {
        format!("t{}-{suffix}", std::process::id()).parse().unwrap()
    }

    #[test]
    fn a_folder_and_a_name_have_one_runner() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let held = lock(a.path(), &own_name("a")).unwrap();
        let error = lock(a.path(), &own_name("b")).unwrap_err();
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        assert!(matches!(error, LockError::FolderTaken { .. }));
        let error = lock(b.path(), &own_name("a")).unwrap_err();
        assert!(matches!(error, LockError::NameTaken { .. }));
        drop(held);
        lock(a.path(), &own_name("a")).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_created_is_an_error_with_a_remedy() {
        let error = lock(Path::new("/dev/null/x"), &own_name("c")).unwrap_err().to_string();
        assert!(error.contains("/dev/null/x") && error.contains("--state"), "{error}");
    }
}
