//! A directory that a child may only read, whatever it tries: mounted so in a mount namespace of its own.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr::null;

/// A directory that a child sees read only, without the file systems that are mounted below it. It has to be root.
#[derive(Debug)]
pub struct ReadOnly {
    dir: CString,
}

impl ReadOnly {
    /// Of this directory.
    ///
    /// # Errors
    /// Where the path holds a NUL.
    pub fn of(dir: &Path) -> io::Result<Self> {
        let dir = CString::new(dir.as_os_str().as_bytes())?;
        Ok(Self { dir })
    }

    /// Makes it so for the calling process and all that come from it. Four system calls, and nothing else.
    pub(super) fn enter(&self) -> io::Result<()> {
        #[expect(unsafe_code, reason = "a system call that std has not")]
        // SAFETY: no pointers; the process gets mounts of its own.
        check(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
        mount(None, c"/", libc::MS_REC | libc::MS_PRIVATE)?;
        mount(Some(&self.dir), &self.dir, libc::MS_BIND)?;
        mount(None, &self.dir, libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY)
    }
}

fn mount(source: Option<&CStr>, target: &CStr, flags: libc::c_ulong) -> io::Result<()> {
    let source = source.map_or(null(), CStr::as_ptr);
    #[expect(unsafe_code, reason = "a system call that std has not")]
    // SAFETY: the strings end in NUL and live over the call; these mounts take neither a type nor data.
    check(unsafe { libc::mount(source, target.as_ptr(), null(), flags, null()) })
}

fn check(outcome: libc::c_int) -> io::Result<()> {
    if outcome == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
