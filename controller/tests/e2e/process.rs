//! A program run by a test, and waiting for conditions.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use std::os::unix::process::CommandExt as _;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// Upper bound of every wait, even on a busy machine.
pub const SOON: Duration = Duration::from_secs(180);

/// The same for emulated guests.
pub const LONG: Duration = Duration::from_secs(1200);

/// Polling interval.
const LOOK: Duration = Duration::from_millis(20);

/// How long a program may take to clean up when the test ends.
const CLEAN_UP: Duration = Duration::from_secs(30);

/// Waits until a condition holds.
#[track_caller]
pub fn until(what: &str, holds: impl FnMut() -> bool) {
    within(SOON, what, holds);
}

#[track_caller]
fn within(timeout: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + timeout;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {} s: {what}", timeout.as_secs());
        std::thread::sleep(LOOK);
    }
}

/// A running program in its own process group. On drop it is terminated, and killed if it does not exit.
pub struct Running {
    child: Child,
    what: &'static str,
    timeout: Duration,
    log: PathBuf,
    /// The length of the log left by an earlier program, bytes.
    skip: usize,
}

impl Running {
    /// Starts a program; its output is appended to a log.
    pub fn start(what: &'static str, mut command: Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).unwrap();
        let skip = usize::try_from(file.metadata().unwrap().len()).unwrap();
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        Self {
            child,
            what,
            timeout: SOON,
            log: log.to_owned(),
            skip,
        }
    }

    /// Uses the longer timeout [`LONG`].
    pub fn patiently(mut self) -> Self {
        self.timeout = LONG;
        self
    }

    /// Its output so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(bytes.get(self.skip..).unwrap_or_default()).into_owned()
    }

    /// Waits until a text appears in its output.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        self.wait_for_times(text, 1);
    }

    /// Waits until a text appears this many times in its output.
    #[track_caller]
    pub fn wait_for_times(&mut self, text: &str, times: usize) {
        within(
            self.timeout,
            &format!("the {} says {text:?} {times} times", self.what),
            || {
                let ended = self.child.try_wait().unwrap();
                let said = self.log().matches(text).count() >= times;
                assert!(said || ended.is_none(), "the {} ended: {ended:?}", self.what);
                said
            },
        );
    }

    /// Waits for its exit.
    #[track_caller]
    pub fn end(&mut self) -> ExitStatus {
        let mut status = None;
        within(self.timeout, &format!("the {} ends", self.what), || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Waits for its exit with this code; returns its output.
    #[track_caller]
    pub fn ends_with(&mut self, code: i32) -> String {
        let status = self.end();
        assert_eq!(status.code(), Some(code), "the {} ended with {status}", self.what);
        self.log()
    }

    /// Whether it is still running.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends a signal to the process, not to its group.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Sends SIGKILL and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = kill(self.pid(), Signal::SIGTERM);
            let deadline = Instant::now() + CLEAN_UP;
            while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
                std::thread::sleep(LOOK);
            }
            let _ = killpg(self.pid(), Signal::SIGKILL);
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the {} said:\n{}", self.what, self.log());
        }
    }
}
