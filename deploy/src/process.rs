//! A child process in its own process group: its output goes to a file, it is stopped gracefully, and the reason why it ended is known.
//!
//! Nothing here blocks the runtime for longer than a fork or a read of `/proc`.

use std::ffi::{CStr, CString};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::ptr::null;
use std::sync::OnceLock;
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{self, Signal};
use nix::unistd::{Gid, Pid, Uid};
use protocol::summary::Exit;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Polling interval while a service's processes end.
const POLL: Duration = Duration::from_millis(10);
/// How long a process may take to disappear after SIGKILL.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// RLIMIT_NOFILE (soft, hard) of children; unset: they inherit that of this process.
static OPEN_FILES: OnceLock<(u64, u64)> = OnceLock::new();

/// Gives children the RLIMIT_NOFILE that this process has now, even if it raises its own later: a service must see the limit that the host gives to
/// any program.
///
/// # Errors
/// If the system does not report the limit.
pub fn keep_open_files_of_children() -> io::Result<()> {
    let limit = getrlimit(Resource::RLIMIT_NOFILE)?;
    OPEN_FILES.get_or_init(|| limit);
    Ok(())
}

/// How to start a process.
#[derive(Debug)]
pub struct Launch {
    /// The absolute path of the program.
    pub program: PathBuf,
    /// Its arguments, passed as they are: no shell parses them.
    pub args: Vec<String>,
    /// Its whole environment.
    pub environment: Vec<(String, String)>,
    /// Its working directory.
    pub directory: PathBuf,
    /// The user and group that it becomes, without any supplementary group; `None`: those of this process. Needs root.
    pub user: Option<(Uid, Gid)>,
    /// The file to which its standard output and error are appended.
    pub log: PathBuf,
    /// Where its standard output goes instead of the file.
    pub output: Option<OwnedFd>,
    /// `cgroup.procs` files of the cgroups that it joins before its first instruction.
    pub cgroup_procs: Vec<File>,
    /// The CPUs that it may run on.
    pub affinity: Option<CpuSet>,
    /// The NUMA nodes that its memory must come from, as a bit mask (like `numactl --membind`).
    pub mems: Option<Vec<u64>>,
    /// Open files that it inherits under the same descriptor numbers.
    pub inherited: Vec<OwnedFd>,
    /// A directory that it sees read-only.
    pub read_only: Option<ReadOnly>,
}

impl Launch {
    /// A program without further settings.
    #[must_use]
    pub fn new(
        program: PathBuf,
        args: Vec<String>,
        environment: impl IntoIterator<Item = (impl Into<String>, String)>,
        log: PathBuf,
    ) -> Self {
        let environment = environment.into_iter().map(|(name, value)| (name.into(), value));
        Self {
            program,
            args,
            environment: environment.collect(),
            directory: "/".into(),
            user: None,
            log,
            output: None,
            cgroup_procs: Vec::new(),
            affinity: None,
            mems: None,
            inherited: Vec::new(),
            read_only: None,
        }
    }
}

/// A child process. Dropping it kills its process group; the runtime reaps it.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    child: tokio::process::Child,
    killed: bool,
}

impl Process {
    /// Starts it. Returns after `exec`, so a program that cannot be executed is an error here.
    ///
    /// # Errors
    /// The system's error: no such program, no permission, too many processes, a log that cannot be written, a cgroup that cannot be joined.
    pub fn spawn(launch: Launch) -> io::Result<Self> {
        let log = open_log(&launch.log)?;
        let mut command = tokio::process::Command::new(&launch.program);
        command
            .args(&launch.args)
            .env_clear()
            .envs(launch.environment)
            .current_dir(launch.directory)
            .stdin(Stdio::null())
            .stdout(
                launch
                    .output
                    .map_or_else(|| log.try_clone().map(Stdio::from), |output| Ok(output.into()))?,
            )
            .stderr(log)
            .process_group(0);
        let (cgroup_procs, affinity, mems) = (launch.cgroup_procs, launch.affinity, launch.mems);
        let (inherited, read_only, user) = (launch.inherited, launch.read_only, launch.user);
        let open_files = OPEN_FILES.get().copied();
        #[expect(
            unsafe_code,
            reason = "only the child itself can join a cgroup before its first instruction"
        )]
        // SAFETY: between fork and exec the closure only makes system calls (write, setrlimit, sched_setaffinity, set_mempolicy, fcntl, unshare, mount, setuid)
        // on descriptors and memory that the parent prepared; it neither allocates nor takes a lock.
        unsafe {
            command.pre_exec(move || {
                cgroup_procs.iter().try_for_each(|mut file| file.write_all(b"0"))?;
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
                mems.as_deref().map_or(Ok(()), bind_memory)?;
                user.map_or(Ok(()), |(user, group)| become_user(user, group))
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

    /// Its PID.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether [`Process::end`] had to kill it.
    #[must_use]
    pub const fn was_killed(&self) -> bool {
        self.killed
    }

    /// Waits until it ends and reaps it. Cancel-safe; returns the same status every time.
    ///
    /// # Errors
    /// If the system does not report the status.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Its exit status, if it has ended.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends SIGTERM to it and to everything that `members` lists, gives them `grace`, then kills whatever is left.
    ///
    /// # Errors
    /// If the system does not report the status.
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
            sleep(POLL).await;
        }
        if !in_time {
            self.killed = true;
            self.kill_group();
        }
        kill_all(members).await;
        timeout(KILL_TIMEOUT, self.child.wait())
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Kills the process group, unless the leader is already reaped: its number could then belong to another group.
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

/// Classifies an exit status. `killed`: this process sent the SIGKILL; `oom`: its cgroup counted an OOM kill.
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

/// Sends SIGKILL to a process; it is not an error if it is gone.
pub(crate) fn kill(pid: u32) {
    send(pid, Signal::SIGKILL);
}

/// Kills until nothing is left, since a process may fork while the list is read; gives up after some seconds.
pub(crate) async fn kill_all(members: impl Fn() -> Vec<u32>) {
    let until = Instant::now() + KILL_TIMEOUT;
    loop {
        let pids = members();
        if pids.is_empty() || Instant::now() >= until {
            return;
        }
        pids.into_iter().for_each(kill);
        sleep(POLL).await;
    }
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = to_pid(pid) {
        let _ = signal::kill(pid, signal);
    }
}

/// Rejects 0 and numbers that do not fit: `kill` would address process groups.
fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().filter(|&pid| pid > 0).map(Pid::from_raw)
}

/// Binds the memory of this process and its children to these NUMA nodes, a bit each. Makes one system call and nothing else.
fn bind_memory(nodes: &[u64]) -> io::Result<()> {
    const MPOL_BIND: libc::c_long = 2;
    // The kernel uses one bit less than `maxnode` says (set_mempolicy(2)).
    let bits = nodes.len() * 64 + 1;
    #[expect(unsafe_code, reason = "set_mempolicy has no safe wrapper")]
    // SAFETY: the kernel reads `bits - 1` bits from `nodes`, which is that long and outlives the call.
    check(unsafe { libc::syscall(libc::SYS_set_mempolicy, MPOL_BIND, nodes.as_ptr(), bits) })
}

/// Becomes a user without supplementary groups. Makes three system calls and nothing else: glibc's functions would wait for threads that a child does not
/// have.
fn become_user(user: Uid, group: Gid) -> io::Result<()> {
    let call = |number, first: libc::c_ulong| {
        #[expect(
            unsafe_code,
            reason = "the functions of libc act on all threads of the parent's image"
        )]
        // SAFETY: the second argument is only read by setgroups, for which the first says that there is nothing to read.
        check(unsafe { libc::syscall(number, first, 0) })
    };
    call(libc::SYS_setgroups, 0)?;
    call(libc::SYS_setgid, group.as_raw().into())?;
    call(libc::SYS_setuid, user.as_raw().into())
}

/// A directory that a child process sees read-only, not including file systems mounted below it. Needs root.
#[derive(Debug)]
pub struct ReadOnly {
    dir: CString,
}

impl ReadOnly {
    /// For this directory.
    ///
    /// # Errors
    /// If the path contains a NUL.
    pub fn of(dir: &Path) -> io::Result<Self> {
        let dir = CString::new(dir.as_os_str().as_bytes())?;
        Ok(Self { dir })
    }

    /// Applies to the calling process and its descendants. Makes four system calls and nothing else.
    fn enter(&self) -> io::Result<()> {
        #[expect(unsafe_code, reason = "std has no such system call")]
        // SAFETY: no pointers; the process gets a mount namespace of its own.
        check(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
        mount(None, c"/", libc::MS_REC | libc::MS_PRIVATE)?;
        mount(Some(&self.dir), &self.dir, libc::MS_BIND)?;
        mount(None, &self.dir, libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY)
    }
}

fn mount(source: Option<&CStr>, target: &CStr, flags: libc::c_ulong) -> io::Result<()> {
    let source = source.map_or(null(), CStr::as_ptr);
    #[expect(unsafe_code, reason = "std has no such system call")]
    // SAFETY: the strings are NUL-terminated and outlive the call; these mounts take neither a type nor data.
    check(unsafe { libc::mount(source, target.as_ptr(), null(), flags, null()) })
}

fn check(outcome: impl Into<libc::c_long>) -> io::Result<()> {
    if outcome.into() == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Opens a log for appending, and creates it and its directory if necessary.
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
        let environment = [("PATH", "/usr/bin:/bin".to_owned())];
        let args = vec!["-c".into(), script.into()];
        Launch::new("/bin/sh".into(), args, environment, dir.join("log/sh.log"))
    }

    #[tokio::test]
    async fn the_exit_code_and_the_output_are_kept() {
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
            sleep(POLL).await;
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
    async fn a_program_that_cannot_be_executed_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let mut missing = launch(dir.path(), "");
        missing.program = dir.path().join("nothing");
        assert_eq!(Process::spawn(missing).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    #[ignore = "needs root"]
    async fn a_user_and_a_directory_are_taken_on() {
        let dir = tempfile::tempdir().unwrap();
        let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
        let launch = Launch {
            user: Some((nobody.uid, nobody.gid)),
            directory: "/usr".into(),
            ..launch(dir.path(), "id -u; id -G; pwd")
        };
        let mut process = Process::spawn(launch).unwrap();
        process.wait().await.unwrap();
        let expected = format!("{}\n{}\n/usr\n", nobody.uid, nobody.gid);
        assert_eq!(
            std::fs::read_to_string(dir.path().join("log/sh.log")).unwrap(),
            expected
        );
    }

    #[test]
    fn an_oom_kill_is_told_from_our_own() {
        let killed = ExitStatus::from_raw(libc::SIGKILL);
        assert_eq!(exit(killed, true, true), Exit::OutOfMemory);
        assert_eq!(exit(killed, true, false), Exit::Killed);
        assert_eq!(exit(killed, false, false), Exit::Signal(9));
        assert_eq!(exit(ExitStatus::from_raw(0x100), true, true), Exit::Code(1));
    }

    #[test]
    fn a_pid_that_means_a_group_is_rejected() {
        assert_eq!(to_pid(0), None);
        assert_eq!(to_pid(u32::MAX), None);
    }
}
