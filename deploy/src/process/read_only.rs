//! A directory that a child process sees read-only, by a bind mount in a mount namespace of its own.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr::null;

/// A directory that a child process sees read-only, not including file systems mounted below it. Needs root.
#[derive(Debug)]
pub struct ReadOnly {
    dir: CString,
}

impl ReadOnly {
    /// For this directory.
    ///
    /// # Errors
    /// If the path contains a NUL.
    pub fn of(dir: &Path) -> io::Result<Self> {
        let dir = CString::new(dir.as_os_str().as_bytes())?;
        Ok(Self { dir })
    }

    /// Applies to the calling process and its descendants. Makes four system calls and nothing else.
    pub(super) fn enter(&self) -> io::Result<()> {
        #[expect(unsafe_code, reason = "std has no such system call")]
        // SAFETY: no pointers; the process gets a mount namespace of its own.
        check(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
        mount(None, c"/", libc::MS_REC | libc::MS_PRIVATE)?;
        mount(Some(&self.dir), &self.dir, libc::MS_BIND)?;
        mount(None, &self.dir, libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY)
    }
}

fn mount(source: Option<&CStr>, target: &CStr, flags: libc::c_ulong) -> io::Result<()> {
    let source = source.map_or(null(), CStr::as_ptr);
    #[expect(unsafe_code, reason = "std has no such system call")]
    // SAFETY: the strings are NUL-terminated and outlive the call; these mounts take neither a type nor data.
    check(unsafe { libc::mount(source, target.as_ptr(), null(), flags, null()) })
}

fn check(outcome: libc::c_int) -> io::Result<()> {
    if outcome == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
