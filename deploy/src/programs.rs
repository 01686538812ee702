//! Programs of this host that the drivers run.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::time::timeout;

use crate::DeployError;

/// Directories that are searched after those of `PATH`.
const DIRS: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";
/// How long a program may take to print its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

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
pub(crate) async fn version(program: &Path) -> Option<String> {
    let mut command = tokio::process::Command::new(program);
    command
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(VERSION_TIMEOUT, command.output()).await.ok()?.ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Some(text.lines().next()?.trim().to_owned())
}

/// The same for facts, which have the key even if the version is not known.
pub(crate) async fn version_or_unknown(program: &Path) -> String {
    version(program).await.unwrap_or_else(|| "unknown version".to_owned())
}
