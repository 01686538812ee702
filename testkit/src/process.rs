//! A program that runs beside the test.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{self, Signal, killpg};
use nix::unistd::Pid;

use crate::wait::{GUEST_TIMEOUT, TIMEOUT, within};

/// How long a program may take to clean up when the test ends.
const CLEAN_UP: Duration = Duration::from_secs(30);

/// A running program in a process group of its own. Dropped, it is asked to end, and killed if it does not.
#[derive(Debug)]
pub struct Running {
    child: Child,
    what: &'static str,
    timeout: Duration,
    log: PathBuf,
    /// Bytes of the log that are of an earlier program.
    skip: usize,
}

impl Running {
    /// Starts a program; both its outputs are appended to a log.
    #[must_use]
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
            timeout: TIMEOUT,
            log: log.to_owned(),
            skip,
        }
    }

    /// Waits for it as long as guests may take.
    #[must_use]
    pub fn patiently(mut self) -> Self {
        self.timeout = GUEST_TIMEOUT;
        self
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its output so far.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(bytes.get(self.skip..).unwrap_or_default()).into_owned()
    }

    /// Waits until its output contains a text.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        self.wait_for_times(text, 1);
    }

    /// Waits until its output contains a text so many times.
    #[track_caller]
    pub fn wait_for_times(&mut self, text: &str, times: usize) {
        within(
            self.timeout,
            &format!("{text:?} {times} times in the output of the {}", self.what),
            || {
                let ended = self.child.try_wait().unwrap();
                let is_there = self.log().matches(text).count() >= times;
                assert!(is_there || ended.is_none(), "the {} ended: {ended:?}", self.what);
                is_there
            },
        );
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(&mut self) -> ExitStatus {
        let mut status = None;
        within(self.timeout, &format!("the end of the {}", self.what), || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Waits for its end with this exit code, and returns its output.
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
        kill(self.id(), signal);
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let pid = pid(self.id());
            let _ = signal::kill(pid, Signal::SIGTERM);
            let deadline = std::time::Instant::now() + CLEAN_UP;
            while std::time::Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = killpg(pid, Signal::SIGKILL);
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- output of the {}:\n{}", self.what, self.log());
        }
    }
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(id.try_into().unwrap())
}

/// Sends a signal to a process.
#[track_caller]
pub fn kill(id: u32, signal: Signal) {
    signal::kill(pid(id), signal).unwrap();
}

/// Whether a process exists and is not a zombie.
#[must_use]
pub fn is_alive(id: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(id.to_string()).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}
