//! A program that runs beside the test, and waiting for things to happen.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use std::os::unix::process::CommandExt as _;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// Nothing here takes so long, however busy the machine is.
pub const SOON: Duration = Duration::from_secs(180);

/// The same for what boots guests, which are emulated.
pub const LONG: Duration = Duration::from_secs(1200);

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(20);

/// How long a program may take to clean up behind itself when the test ends.
const CLEAN_UP: Duration = Duration::from_secs(30);

/// Waits until something is so.
#[track_caller]
pub fn until(what: &str, is_so: impl FnMut() -> bool) {
    within(SOON, what, is_so);
}

#[track_caller]
fn within(patience: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {} s: {what}", patience.as_secs());
        std::thread::sleep(LOOK);
    }
}

/// A running program in a process group of its own. Dropped, it is asked to end, and killed if it does not.
pub struct Running {
    child: Child,
    what: &'static str,
    patience: Duration,
    log: PathBuf,
    /// Bytes of the log that are of an earlier program.
    skip: usize,
}

impl Running {
    /// Starts a program; both its outputs go to the end of a log.
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
            patience: SOON,
            log: log.to_owned(),
            skip,
        }
    }

    /// It is waited for longer: for [`LONG`].
    pub fn patiently(mut self) -> Self {
        self.patience = LONG;
        self
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(bytes.get(self.skip..).unwrap_or_default()).into_owned()
    }

    /// Waits until it has said something.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        self.wait_for_times(text, 1);
    }

    /// Waits until it has said something so many times.
    #[track_caller]
    pub fn wait_for_times(&mut self, text: &str, times: usize) {
        within(
            self.patience,
            &format!("the {} says {text:?} {times} times", self.what),
            || {
                let ended = self.child.try_wait().unwrap();
                let said = self.log().matches(text).count() >= times;
                assert!(said || ended.is_none(), "the {} ended: {ended:?}", self.what);
                said
            },
        );
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(&mut self) -> ExitStatus {
        let mut status = None;
        within(self.patience, &format!("the {} ends", self.what), || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Waits for its end with this exit code.
    #[track_caller]
    pub fn ends_with(&mut self, code: i32) -> String {
        let status = self.end();
        assert_eq!(status.code(), Some(code), "the {} ended with {status}", self.what);
        self.log()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends a signal to the process, not to its group.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// SIGKILL, and waits until it is gone.
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
