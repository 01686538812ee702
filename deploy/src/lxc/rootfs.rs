//! The root file system: a directory with the static workload and LXC's mount points. All containers share it read-only.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::DeployError;
use crate::binary::Binary;
use crate::guest::directory;
use crate::guest::tree::Tree;

/// The program's name in the root file system.
pub(super) const PROGRAM: &str = "workload";

/// The directory of the root file system, named after the program's hash. It need not exist yet.
///
/// # Errors
/// [`DeployError::Unmet`] if the program is not static, or the path contains what an LXC configuration cannot carry.
pub(super) async fn path(dir: &Path, workload: &Path) -> Result<PathBuf, DeployError> {
    let binary = Binary::read_static(workload, "the container").await?;
    named(dir, binary.sha256())
}

/// The directory of the root file system with this hash.
fn named(dir: &Path, hash: &str) -> Result<PathBuf, DeployError> {
    let root = dir.join(format!("root-{}", &hash[..16]));
    let root = std::path::absolute(&root).map_err(|source| DeployError::Io {
        what: format!("finding {}", root.display()),
        source,
    })?;
    match root.to_str() {
        Some(text) if !text.contains(|c: char| c.is_control() || c.is_whitespace() || c == ':') => Ok(root),
        _ => Err(DeployError::Unmet {
            need: format!("LXC's configuration cannot hold the path {root:?} of the runner's state directory"),
            remedy: "choose a --state without spaces, colons and control characters".into(),
        }),
    }
}

/// Creates it, completely or not at all, unless it exists.
///
/// # Errors
/// Those of [`path`], or [`DeployError::Io`].
pub(super) async fn create(dir: &Path, workload: &Path) -> Result<PathBuf, DeployError> {
    let root = path(dir, workload).await?;
    let (made, program) = (root.clone(), workload.to_owned());
    let outcome = tokio::task::spawn_blocking(move || write(&made, &program)).await;
    let outcome = outcome.unwrap_or_else(|error| Err(io::Error::other(error)));
    match outcome {
        Ok(()) => Ok(root),
        Err(source) => Err(DeployError::Io {
            what: format!("creating the root file system {}", root.display()),
            source,
        }),
    }
}

/// Creates a root file system of a tree, completely or not at all, unless it exists. Returns it with the hash of the tree.
///
/// # Errors
/// Those of [`path`], or [`DeployError::Io`].
pub(super) fn of_tree(dir: &Path, tree: &Tree) -> Result<(PathBuf, String), DeployError> {
    let hash = tree.sha256().map_err(|error| DeployError::Platform {
        platform: "lxc",
        message: error.to_string(),
    })?;
    let root = named(dir, &hash)?;
    let write = || -> io::Result<()> {
        if root.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(dir)?;
        let new = root.with_extension(format!("new-{}", std::process::id()));
        let _ = fs::remove_dir_all(&new);
        directory::write(tree, &new)?;
        match fs::rename(&new, &root) {
            // Another task of this runner was faster.
            Err(_) if root.is_dir() => fs::remove_dir_all(&new),
            outcome => outcome,
        }
    };
    let written = write();
    written.map_err(|source| DeployError::Io {
        what: format!("creating the root file system {}", root.display()),
        source,
    })?;
    Ok((root, hash))
}

fn write(root: &Path, workload: &Path) -> io::Result<()> {
    if root.join(PROGRAM).is_file() {
        return Ok(());
    }
    let new = root.with_extension(format!("new-{}", std::process::id()));
    let _ = fs::remove_dir_all(&new);
    for mount_point in ["dev", "proc", "sys", "tmp"] {
        fs::create_dir_all(new.join(mount_point))?;
    }
    fs::copy(workload, new.join(PROGRAM))?;
    match fs::rename(&new, root) {
        // Another task of this runner was faster.
        Err(_) if root.join(PROGRAM).is_file() => fs::remove_dir_all(&new),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dynamic_program_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = create(dir.path(), &std::env::current_exe().unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("build-workload.sh"), "{error}");
    }

    #[test]
    fn it_holds_the_program_and_the_mount_points() {
        let dir = tempfile::tempdir().unwrap();
        let (root, program) = (dir.path().join("root-1"), dir.path().join("program"));
        fs::write(&program, "x").unwrap();
        for _ in 0..2 {
            write(&root, &program).unwrap();
        }
        assert_eq!(fs::read(root.join("workload")).unwrap(), b"x");
        assert!(root.join("proc").is_dir());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing partial is left");
    }
}
