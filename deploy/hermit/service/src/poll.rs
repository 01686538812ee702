//! Waiting for sockets.

#[cfg(unix)]
pub use std::os::fd::AsRawFd;
#[cfg(target_os = "hermit")]
pub use std::os::hermit::io::AsRawFd;

/// Longest time in `poll`, ms: Hermit tells of a connection at the first of its listening sockets only, so that others are looked for now and then.
const PATIENCE_MS: i32 = 10;

/// The sockets that are waited for, in the order in which they were added.
#[derive(Debug, Default)]
pub struct Watched {
    sockets: Vec<libc::pollfd>,
}

impl Watched {
    /// Forgets all sockets.
    pub fn clear(&mut self) {
        self.sockets.clear();
    }

    /// Adds a socket: for room to write, or else for bytes.
    pub fn add(&mut self, socket: &impl AsRawFd, write: bool) {
        let (fd, events) = (socket.as_raw_fd(), if write { libc::POLLOUT } else { libc::POLLIN });
        self.sockets.push(libc::pollfd { fd, events, revents: 0 });
    }

    /// Waits until a socket is ready, or for a moment.
    pub fn wait(&mut self) {
        let many = self.sockets.len().try_into().unwrap_or(1);
        // A failure tells of no socket, which is as good as nothing having come.
        // SAFETY: `sockets` has as many entries as are told, and lives over the call.
        unsafe { libc::poll(self.sockets.as_mut_ptr(), many, PATIENCE_MS) };
    }

    /// Waits until the first socket is ready, or for a moment; whether it is.
    pub fn wait_ready(&mut self) -> bool {
        self.wait();
        self.is_ready(0)
    }

    /// Whether there is something to do at the nth socket.
    pub fn is_ready(&self, nth: usize) -> bool {
        self.sockets.get(nth).is_some_and(|socket| socket.revents != 0)
    }
}
