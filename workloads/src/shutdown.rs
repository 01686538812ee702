//! Graceful shutdown: a pipe whose read end becomes readable on SIGTERM or SIGINT.
//!
//! A self-pipe instead of a signalfd, because guests such as OSv have little more than pipes and
//! `sigaction`. Every event loop polls the same read end and none reads from it, so one byte wakes all.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

/// Write end of the pipe for the signal handler; -1 if not installed.
static SIGNAL_PIPE: AtomicI32 = AtomicI32::new(-1);

/// The read end, polled by event loops.
#[derive(Debug, Clone)]
pub struct Shutdown {
    reader: Arc<PipeReader>,
}

/// The write end, for tests and programs that shut down by other means than a signal.
#[derive(Debug)]
pub struct Trigger {
    writer: PipeWriter,
}

impl Shutdown {
    /// A shutdown that is started by its trigger.
    pub fn by_hand() -> io::Result<(Self, Trigger)> {
        let (reader, writer) = io::pipe()?;
        Ok((
            Self {
                reader: Arc::new(reader),
            },
            Trigger { writer },
        ))
    }

    /// A shutdown that is started by SIGTERM or SIGINT. Call it once per process.
    pub fn by_signal() -> io::Result<Self> {
        let (shutdown, trigger) = Self::by_hand()?;
        SIGNAL_PIPE.store(trigger.writer.as_raw_fd(), Ordering::Release);
        std::mem::forget(trigger); // the handler uses it until the process exits
        for signal in [libc::SIGTERM, libc::SIGINT] {
            install(signal)?;
        }
        Ok(shutdown)
    }
}

impl AsRawFd for Shutdown {
    fn as_raw_fd(&self) -> RawFd {
        self.reader.as_raw_fd()
    }
}

impl AsFd for Shutdown {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

impl Trigger {
    /// Starts the shutdown of every event loop.
    pub fn fire(&mut self) -> io::Result<()> {
        self.writer.write_all(b"x")
    }
}

#[expect(unsafe_code, reason = "sigaction has no safe form in std")]
fn install(signal: i32) -> io::Result<()> {
    let handler: extern "C" fn(i32) = on_signal;
    // SAFETY: an all-zero sigaction is valid; its fields are set below.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: `action` is valid and the handler makes a single async-signal-safe call.
    if unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[expect(unsafe_code, reason = "only write(2) itself is async-signal-safe")]
extern "C" fn on_signal(_signal: i32) {
    let pipe = SIGNAL_PIPE.load(Ordering::Acquire);
    // SAFETY: write(2) is async-signal-safe, the byte is static, and an invalid descriptor only causes
    // an error that cannot be reported from here.
    unsafe { libc::write(pipe, b"x".as_ptr().cast(), 1) };
}
