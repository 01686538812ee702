//! When a service first said something: the first byte that reached the file of its output, seen by inotify, so that nothing stands between the
//! service and its file.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;

/// The moment of the first byte, once there was one.
#[derive(Clone, Debug, Default)]
pub(crate) struct FirstOutput(Arc<OnceLock<Instant>>);

impl FirstOutput {
    /// The moment; `None`: silent so far.
    pub(crate) fn at(&self) -> Option<Instant> {
        self.0.get().copied()
    }

    /// A byte came now; only the first counts.
    pub(crate) fn came(&self) {
        self.0.get_or_init(Instant::now);
    }
}

/// Watches a file until something is written into it. Dropping it ends that.
#[derive(Debug)]
pub(crate) struct Watch {
    first: FirstOutput,
    task: JoinHandle<()>,
}

impl Watch {
    /// Watches a file that is there. Needs a runtime around it.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        inotify.add_watch(path, AddWatchFlags::IN_MODIFY)?;
        #[expect(
            unsafe_code,
            reason = "the runtime is told to watch a descriptor that it does not know"
        )]
        // SAFETY: the descriptor belongs to the inotify inside, which goes with the `AsyncFd` and gives the same one every time.
        let ready = unsafe { AsyncFd::register(Descriptor(inotify)) }.map_err(io::Error::from)?;
        let first = FirstOutput::default();
        let seen = first.clone();
        let task = tokio::spawn(async move {
            // Nothing but a change of the file makes it readable.
            if ready.readable().await.is_ok() {
                seen.came();
            }
        });
        Ok(Self { first, task })
    }

    /// The moment of the first byte; `None`: silent so far.
    pub(crate) fn at(&self) -> Option<Instant> {
        self.first.at()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An inotify as tokio takes it.
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
        let watch = Watch::of(file.path()).unwrap();
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
        assert!(Watch::of(Path::new("/nowhere/log")).is_err());
    }
}
