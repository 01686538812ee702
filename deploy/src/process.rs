//! A child process: in its own process group, its output in a file, its end told apart.
//!
//! Everything here returns at once or awaits; nothing blocks the runtime for longer than a fork or a look into `/proc` does.

mod read_only;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use protocol::summary::Exit;
use tokio::time::{Instant, sleep, timeout, timeout_at};

pub use read_only::ReadOnly;

/// How often the members of an ending service are looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How long a process that got SIGKILL may take to be gone.
const DEATH: Duration = Duration::from_secs(5);

/// The limits of open files, soft and hard, that children get; not set: those of this process.
static OPEN_FILES: OnceLock<(u64, u64)> = OnceLock::new();

/// Has children get the limit of open files that this process has now, even if it raises its own afterwards: a service must not find another
/// limit than the host gives its programs.
///
/// # Errors
/// Where the system does not tell it.
pub fn keep_open_files_of_children() -> io::Result<()> {
    let limit = getrlimit(Resource::RLIMIT_NOFILE)?;
    OPEN_FILES.get_or_init(|| limit);
    Ok(())
}

/// What to start, and how.
#[derive(Debug)]
pub struct Launch {
    /// The program, as an absolute path.
    pub program: PathBuf,
    /// Its arguments, passed on as they are: no shell reads them.
    pub args: Vec<String>,
    /// Its whole environment.
    pub environment: Vec<(&'static str, String)>,
    /// The file that gets its standard output and error, appended.
    pub log: PathBuf,
    /// What gets its standard output instead of the file.
    pub output: Option<OwnedFd>,
    /// `cgroup.procs` files: it joins these cgroups before its first instruction.
    pub doors: Vec<File>,
    /// The CPUs that it may use.
    pub affinity: Option<CpuSet>,
    /// The NUMA nodes that its memory must come from, a bit each, as `numactl --membind` sets them.
    pub mems: Option<Vec<u64>>,
    /// Open files that it gets under the numbers that they have here.
    pub inherited: Vec<OwnedFd>,
    /// A directory that it may only read.
    pub read_only: Option<ReadOnly>,
}

/// A child process. Dropping it kills its process group; the runtime reaps it.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    child: tokio::process::Child,
    killed: bool,
}

impl Process {
    /// Starts it. Returns after its `exec`, so that a program which cannot be executed is an error here.
    ///
    /// # Errors
    /// The system's word: no such program, no permission, not enough processes, a log that cannot be written, a cgroup that cannot be joined.
    pub fn spawn(launch: Launch) -> io::Result<Self> {
        let log = open_log(&launch.log)?;
        let mut command = tokio::process::Command::new(&launch.program);
        command
            .args(&launch.args)
            .env_clear()
            .envs(launch.environment)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(
                launch
                    .output
                    .map_or_else(|| log.try_clone().map(Stdio::from), |output| Ok(output.into()))?,
            )
            .stderr(log)
            .process_group(0);
        let (doors, affinity, mems) = (launch.doors, launch.affinity, launch.mems);
        let (inherited, read_only) = (launch.inherited, launch.read_only);
        let open_files = OPEN_FILES.get().copied();
        #[expect(
            unsafe_code,
            reason = "only the child itself can join a cgroup before its first instruction"
        )]
        // SAFETY: between fork and exec the closure makes system calls only (write, setrlimit, sched_setaffinity, set_mempolicy, fcntl, unshare, mount), on descriptors and memory that the
        // parent prepared; it neither allocates nor takes a lock.
        unsafe {
            command.pre_exec(move || {
                doors.iter().try_for_each(|mut door| door.write_all(b"0"))?;
                if let Some((soft, hard)) = open_files {
                    setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?;
                }
                if let Some(cpus) = &affinity {
                    sched_setaffinity(Pid::from_raw(0), cpus)?;
                }
                for file in &inherited {
                    fcntl(file, FcntlArg::F_SETFD(FdFlag::empty()))?;
                }
                read_only.as_ref().map_or(Ok(()), ReadOnly::enter)?;
                mems.as_deref().map_or(Ok(()), bind_memory)
            });
        }
        let child = command.spawn()?;
        let pid = child
            .id()
            .ok_or_else(|| io::Error::other("the new process has no pid"))?;
        Ok(Self {
            pid,
            child,
            killed: false,
        })
    }

    /// Its number.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it had to be killed by [`Process::end`].
    #[must_use]
    pub const fn was_killed(&self) -> bool {
        self.killed
    }

    /// Waits for its end and reaps it. Cancel-safe; the same answer every time.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// How it has ended, if it has.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks it and everything that `members` lists to end (SIGTERM), gives them all `grace`, then kills what is left.
    ///
    /// # Errors
    /// Where the system does not tell how it ended.
    pub async fn end(&mut self, grace: Duration, members: impl Fn() -> Vec<u32>) -> io::Result<ExitStatus> {
        let until = Instant::now() + grace;
        if let Some(leader) = self.child.id() {
            send(leader, Signal::SIGTERM);
        }
        for pid in members().into_iter().filter(|&pid| pid != self.pid) {
            send(pid, Signal::SIGTERM);
        }
        let in_time = timeout_at(until, self.child.wait()).await.is_ok();
        while !members().is_empty() && Instant::now() < until {
            sleep(LOOK).await;
        }
        if !in_time {
            self.killed = true;
            self.kill_group();
        }
        kill_all(members).await;
        timeout(DEATH, self.child.wait())
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Kills the process group, unless its leader is already reaped: the number could then be another's.
    fn kill_group(&self) {
        if self.child.id().is_some()
            && let Some(pid) = to_pid(self.pid)
        {
            let _ = signal::killpg(pid, Signal::SIGKILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_group();
    }
}

/// Tells an end apart. `killed`: we sent the SIGKILL; `oom`: its cgroup counted a kill for memory.
#[must_use]
pub fn exit(status: ExitStatus, killed: bool, oom: bool) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(libc::SIGKILL)) if oom => Exit::OutOfMemory,
        (None, Some(libc::SIGKILL)) if killed => Exit::Killed,
        (None, Some(number)) => Exit::Signal(number),
        (None, None) => Exit::Unknown,
    }
}

/// Kills (SIGKILL) one process; one that is gone is no error.
pub(crate) fn kill(pid: u32) {
    send(pid, Signal::SIGKILL);
}

/// Kills until nobody is left, since a process may fork while the list is read, for some seconds at most.
pub(crate) async fn kill_all(members: impl Fn() -> Vec<u32>) {
    let until = Instant::now() + DEATH;
    loop {
        let pids = members();
        if pids.is_empty() || Instant::now() >= until {
            return;
        }
        pids.into_iter().for_each(kill);
        sleep(LOOK).await;
    }
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = to_pid(pid) {
        let _ = signal::kill(pid, signal);
    }
}

/// Zero and what does not fit would address groups, or everybody.
fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().filter(|&pid| pid > 0).map(Pid::from_raw)
}

/// Has all memory of this process and its children come from these NUMA nodes, a bit each. One system call, and nothing else.
fn bind_memory(nodes: &[u64]) -> io::Result<()> {
    const MPOL_BIND: libc::c_long = 2;
    // The kernel takes one bit less than it is told of (set_mempolicy(2), "maxnode").
    let bits = nodes.len() * 64 + 1;
    #[expect(unsafe_code, reason = "there is no safe wrapper of set_mempolicy")]
    // SAFETY: the kernel reads `bits - 1` bits from `nodes`, which is that long and lives through the call.
    let done = unsafe { libc::syscall(libc::SYS_set_mempolicy, MPOL_BIND, nodes.as_ptr(), bits) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

pub(crate) fn open_log(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(dir: &Path, script: &str) -> Launch {
        Launch {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            environment: vec![("PATH", "/usr/bin:/bin".into())],
            log: dir.join("log/sh.log"),
            output: None,
            doors: Vec::new(),
            affinity: None,
            mems: None,
            inherited: Vec::new(),
            read_only: None,
        }
    }

    #[tokio::test]
    async fn a_code_and_the_output_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = Process::spawn(launch(dir.path(), "echo out; echo err >&2; exit 3")).unwrap();
        let status = process.wait().await.unwrap();
        assert_eq!(exit(status, false, false), Exit::Code(3));
        assert_eq!(exit(process.wait().await.unwrap(), false, false), Exit::Code(3));
        assert_eq!(
            std::fs::read_to_string(dir.path().join("log/sh.log")).unwrap(),
            "out\nerr\n"
        );
    }

    #[tokio::test]
    async fn a_process_that_ignores_term_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = Process::spawn(launch(
            dir.path(),
            "trap '' TERM; echo ready; while :; do sleep 1; done",
        ))
        .unwrap();
        let log = dir.path().join("log/sh.log");
        while std::fs::read_to_string(&log).unwrap_or_default().is_empty() {
            sleep(LOOK).await;
        }
        let status = process.end(Duration::from_millis(50), Vec::new).await.unwrap();
        assert_eq!(exit(status, process.was_killed(), false), Exit::Killed);
    }

    #[tokio::test]
    async fn a_process_that_obeys_term_is_not_killed() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = Process::spawn(launch(dir.path(), "exec sleep 600")).unwrap();
        let status = process.end(Duration::from_secs(60), Vec::new).await.unwrap();
        assert_eq!(exit(status, process.was_killed(), false), Exit::Signal(libc::SIGTERM));
    }

    #[tokio::test]
    async fn what_cannot_be_executed_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let mut missing = launch(dir.path(), "");
        missing.program = dir.path().join("nothing");
        assert_eq!(Process::spawn(missing).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_kill_for_memory_is_told_from_ours() {
        let killed = ExitStatus::from_raw(libc::SIGKILL);
        assert_eq!(exit(killed, true, true), Exit::OutOfMemory);
        assert_eq!(exit(killed, true, false), Exit::Killed);
        assert_eq!(exit(killed, false, false), Exit::Signal(9));
        assert_eq!(exit(ExitStatus::from_raw(0x100), true, true), Exit::Code(1));
    }

    #[test]
    fn nobody_is_killed_by_a_pid_that_means_a_group() {
        assert_eq!(to_pid(0), None);
        assert_eq!(to_pid(u32::MAX), None);
    }
}
