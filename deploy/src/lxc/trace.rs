
use std::fs;
use std::path::{Path, PathBuf};

/// The directory of root's lock files.
const LOCKS: &str = "/run/lxc/lock";

/// Removes the lock file of a container that is gone, and the directories around it that are empty then.
pub(super) fn remove_lock(containers: &Path, name: &str) {
    let Some(folder) = locks(containers) else { return };
    let _ = fs::remove_file(folder.join(format!(".{name}")));
    for folder in folder.ancestors().take_while(|folder| *folder != Path::new(LOCKS)) {
        if fs::remove_dir(folder).is_err() {
            return;
        }
    }
}

/// Removes what a crashed previous instance left behind. Returns a line for each.
pub(super) fn sweep(containers: &Path) -> Vec<String> {
    let entries = fs::read_dir(containers).into_iter().flatten().flatten();
    let remove = |entry: fs::DirEntry| {
        remove_lock(containers, &entry.file_name().to_string_lossy());
        match fs::remove_dir_all(entry.path()) {
            Ok(()) => format!("removed {}", entry.path().display()),
            Err(error) => format!("could not remove {}: {error}", entry.path().display()),
        }
    };
    entries.map(remove).collect()
}

fn locks(containers: &Path) -> Option<PathBuf> {
    Some(Path::new(LOCKS).join(std::path::absolute(containers).ok()?.strip_prefix("/").ok()?))
}
