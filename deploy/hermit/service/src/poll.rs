//! Waits for sockets.

#[cfg(unix)]
pub use std::os::fd::AsRawFd;
#[cfg(target_os = "hermit")]
pub use std::os::hermit::io::AsRawFd;

/// Timeout of `poll`, ms: Hermit reports connections at the first of its listening sockets only, so the others are checked regularly.
const PATIENCE_MS: i32 = 10;

/// The sockets to wait for, in the order in which they were added.
#[derive(Debug, Default)]
pub struct Watched {
    sockets: Vec<libc::pollfd>,
}

impl Watched {
    /// Removes all sockets.
    pub fn clear(&mut self) {
        self.sockets.clear();
    }

    /// Adds a socket: wait until it is writable, or else readable.
    pub fn add(&mut self, socket: &impl AsRawFd, write: bool) {
        let (fd, events) = (socket.as_raw_fd(), if write { libc::POLLOUT } else { libc::POLLIN });
        self.sockets.push(libc::pollfd { fd, events, revents: 0 });
    }

    /// Waits until a socket is ready, or for the timeout.
    pub fn wait(&mut self) {
        let many = self.sockets.len().try_into().unwrap_or(1);
        // An error reports no socket as ready, like a timeout.
        // SAFETY: `sockets` has as many entries as the call is told, and outlives it.
        unsafe { libc::poll(self.sockets.as_mut_ptr(), many, PATIENCE_MS) };
    }

    /// Waits until the first socket is ready, or for the timeout; returns whether it is.
    pub fn wait_ready(&mut self) -> bool {
        self.wait();
        self.is_ready(0)
    }

    /// Whether the nth socket is ready.
    pub fn is_ready(&self, nth: usize) -> bool {
        self.sockets.get(nth).is_some_and(|socket| socket.revents != 0)
    }
}
