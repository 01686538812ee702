//! The root file system: a directory that holds the static workload and the places where LXC mounts. All containers share it, and none may write.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::DeployError;
use crate::binary::Binary;

/// What it is called in there.
pub(super) const PROGRAM: &str = "workload";

/// Where it is or will be, named after the program's hash.
///
/// # Errors
/// [`DeployError::Unmet`] where the program is not static, or the path has what no line of a configuration can carry.
pub(super) async fn folder(folder: &Path, workload: &Path) -> Result<PathBuf, DeployError> {
    let binary = Binary::read(workload).await?;
    if !binary.is_static() {
        return Err(DeployError::Unmet {
            need: format!(
                "the workload program {} is not static ({})",
                workload.display(),
                binary.linking()
            ),
            remedy: "build it with deploy/build-workload.sh: in the container there is no loader and no library".into(),
        });
    }
    let root = folder.join(format!("root-{}", &binary.sha256()[..16]));
    let root = std::path::absolute(&root).map_err(|source| DeployError::Io {
        what: format!("finding {}", root.display()),
        source,
    })?;
    match root.to_str() {
        Some(text) if !text.contains(|c: char| c.is_control() || c.is_whitespace() || c == ':') => Ok(root),
        _ => Err(DeployError::Unmet {
            need: format!("the runner's state {root:?} cannot stand in a configuration of LXC"),
            remedy: "choose another --state: without spaces, colons and control characters".into(),
        }),
    }
}

/// Makes it if it is not there, whole or not at all.
///
/// # Errors
/// Those of [`folder`], or [`DeployError::Io`].
pub(super) async fn make(into: &Path, workload: &Path) -> Result<PathBuf, DeployError> {
    let root = folder(into, workload).await?;
    let (made, program) = (root.clone(), workload.to_owned());
    let outcome = tokio::task::spawn_blocking(move || write(&made, &program)).await;
    let outcome = outcome.unwrap_or_else(|error| Err(io::Error::other(error)));
    match outcome {
        Ok(()) => Ok(root),
        Err(source) => Err(DeployError::Io {
            what: format!("making the root file system {}", root.display()),
            source,
        }),
    }
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
    async fn a_program_with_libraries_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = make(dir.path(), &std::env::current_exe().unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("build-workload.sh"), "{error}");
    }

    #[test]
    fn it_holds_the_program_and_places_to_mount() {
        let dir = tempfile::tempdir().unwrap();
        let (root, program) = (dir.path().join("root-1"), dir.path().join("program"));
        fs::write(&program, "x").unwrap();
        for _ in 0..2 {
            write(&root, &program).unwrap();
        }
        assert_eq!(fs::read(root.join("workload")).unwrap(), b"x");
        assert!(root.join("proc").is_dir());
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            2,
            "nothing half made is left"
        );
    }
}
