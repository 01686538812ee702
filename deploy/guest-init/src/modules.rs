//! Kernel modules, which are already in load order.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// Loads every file in `/modules` in the order of their names.
pub fn load_all() -> Result<(), String> {
    let failed = |error: io::Error| format!("/modules: {error}");
    let entries = match fs::read_dir("/modules") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(failed)?,
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        load(&path).map_err(|error| format!("loading {}: {error}", path.display()))?;
    }
    Ok(())
}

fn load(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let (no_parameters, no_flags) = (c"", 0);
    #[expect(unsafe_code, reason = "std has no such system call")]
    // SAFETY: the descriptor is open and the string is NUL-terminated; the kernel checks the module.
    let outcome = unsafe {
        libc::syscall(
            libc::SYS_finit_module,
            file.as_raw_fd(),
            no_parameters.as_ptr(),
            no_flags,
        )
    };
    let error = io::Error::last_os_error();
    if outcome == 0 || error.raw_os_error() == Some(libc::EEXIST) {
        return Ok(());
    }
    Err(error)
}
