//! File systems.

use std::ffi::CString;
use std::io;

/// Mounts `/proc`, `/sys`, `/dev` and `/tmp`.
pub fn mount_all() -> Result<(), String> {
    for (kind, place) in [
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("devtmpfs", "/dev"),
        ("tmpfs", "/tmp"),
    ] {
        mount(kind, kind, place).map_err(|error| format!("mounting {kind} on {place}: {error}"))?;
    }
    Ok(())
}

/// Mounts shared directories by virtio-fs: tag and mount point.
pub fn mount_shares(shares: &[(String, String)]) -> Result<(), String> {
    for (tag, place) in shares {
        mount("virtiofs", tag, place).map_err(|error| {
            format!("mounting the share {tag} on {place}: {error}; is it in the guest's description, and virtiofs in `load`?")
        })?;
        println!("guest-init: mounted the share {tag} on {place}");
    }
    Ok(())
}

fn mount(kind: &str, source: &str, place: &str) -> io::Result<()> {
    std::fs::create_dir_all(place)?;
    let (kind, source, place) = (CString::new(kind)?, CString::new(source)?, CString::new(place)?);
    #[expect(unsafe_code, reason = "std has no such system call")]
    // SAFETY: the three strings are NUL-terminated and outlive the call; these file systems take no data.
    let outcome = unsafe { libc::mount(source.as_ptr(), place.as_ptr(), kind.as_ptr(), 0, std::ptr::null()) };
    if outcome == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
