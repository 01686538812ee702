//! Programs of this host that the drivers run.

use std::path::{Path, PathBuf};

use crate::DeployError;

/// Directories that are searched after those of `PATH`.
const DIRS: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// The path of a program.
///
/// # Errors
/// [`DeployError::Unmet`] with the remedy if it is not installed.
pub(crate) fn find(program: &str, remedy: &str) -> Result<PathBuf, DeployError> {
    let path = std::env::var("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(std::env::split_paths(DIRS));
    dirs.filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| DeployError::Unmet {
            need: format!("{program} is not installed"),
            remedy: remedy.into(),
        })
}

/// The first line of a program's `--version` output.
pub(crate) async fn version(program: &Path) -> String {
    let output = tokio::process::Command::new(program)
        .arg("--version")
        .kill_on_drop(true)
        .output()
        .await;
    let text = output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    text.lines().next().unwrap_or("unknown version").to_owned()
}
