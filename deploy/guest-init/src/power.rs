//! Power-off.

/// Powers the machine off if this is its first process; otherwise returns.
pub fn off() {
    if std::process::id() != 1 {
        return;
    }
    #[expect(unsafe_code, reason = "std has no such system calls")]
    // SAFETY: no pointers. The first process may power the machine off, and nothing unsynced is lost.
    unsafe {
        libc::sync();
        libc::reboot(libc::RB_POWER_OFF);
    }
}
