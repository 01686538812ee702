//! The time of a service's first output: inotify reports the first write to its log file, so nothing sits between the service and the file.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;

use crate::process;

/// The time of the first byte, once there is one.
#[derive(Clone, Debug, Default)]
pub(crate) struct FirstOutput(Arc<OnceLock<Instant>>);

impl FirstOutput {
    /// The time; `None`: no output yet.
    pub(crate) fn at(&self) -> Option<Instant> {
        self.0.get().copied()
    }

    /// Records that output arrived now. Only the first call counts.
    pub(crate) fn record(&self) {
        self.0.get_or_init(Instant::now);
    }
}

/// Watches a file until something is written to it. Dropping it stops the watch.
#[derive(Debug)]
pub(crate) struct OutputWatch {
    first: FirstOutput,
    task: JoinHandle<()>,
}

impl OutputWatch {
    /// Creates a service's log file and watches it. If that fails, only the time of the first output is missing.
    pub(crate) fn create(log: &Path) -> Option<Self> {
        let watch = process::open_log(log).and_then(|_| Self::of(log));
        watch
            .inspect_err(
                |error| tracing::debug!(log = %log.display(), %error, "cannot watch the log for the first output"),
            )
            .ok()
    }

    /// Watches an existing file. Needs a Tokio runtime.
    fn of(path: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        inotify.add_watch(path, AddWatchFlags::IN_MODIFY)?;
        #[expect(unsafe_code, reason = "tokio cannot know that the descriptor stays the same")]
        // SAFETY: the descriptor belongs to the `Inotify` inside, which lives as long as the `AsyncFd` and always returns the same descriptor.
        let ready = unsafe { AsyncFd::register(Descriptor(inotify)) }.map_err(io::Error::from)?;
        let first = FirstOutput::default();
        let seen = first.clone();
        let task = tokio::spawn(async move {
            // Only a change of the file makes the descriptor readable.
            if ready.readable().await.is_ok() {
                seen.record();
            }
        });
        Ok(Self { first, task })
    }

    /// The time of the first byte; `None`: no output yet.
    pub(crate) fn at(&self) -> Option<Instant> {
        self.first.at()
    }
}

impl Drop for OutputWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An `Inotify` as `AsyncFd` takes it.
#[derive(Debug)]
struct Descriptor(Inotify);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::time::Duration;

    #[tokio::test]
    async fn the_first_byte_is_seen_and_no_other() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let before = Instant::now();
        let watch = OutputWatch::of(file.path()).unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(watch.at(), None);
        file.write_all(b"listening").unwrap();
        let first = loop {
            match watch.at() {
                Some(first) => break first,
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        assert!(first >= before + Duration::from_millis(20));
        file.write_all(b"more").unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(watch.at(), Some(first));
        assert!(OutputWatch::of(Path::new("/nowhere/log")).is_err());
    }
}
