//! The limit on open file descriptors, which bounds the number of connections.

/// Raises the soft limit on open file descriptors to the hard limit; returns the effective limit.
///
/// A failure is not an error: the service then runs with the existing limit and pauses accepting when
/// it is reached.
#[expect(unsafe_code, reason = "getrlimit and setrlimit have no safe form in std")]
pub fn raise_open_files() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid rlimit that lives over the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return 1024;
    }
    let wanted = libc::rlimit {
        rlim_cur: limit.rlim_max,
        ..limit
    };
    // SAFETY: `wanted` is a valid rlimit; only this process's own soft limit changes.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const wanted) } == 0 {
        wanted.rlim_cur
    } else {
        limit.rlim_cur
    }
}
