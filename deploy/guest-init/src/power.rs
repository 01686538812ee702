//! The end of the machine.

/// Switches the machine off, if this is its first process; returns if it is not.
pub fn off() {
    if std::process::id() != 1 {
        return;
    }
    #[expect(unsafe_code, reason = "system calls that std has not")]
    // SAFETY: no pointers. As the first process we decide over this machine, and it has nothing that is not written.
    unsafe {
        libc::sync();
        libc::reboot(libc::RB_POWER_OFF);
    }
}
