//! Runs an external program in a process group of its own, which is killed at its end, at its time limit, or when the load is cancelled.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::control::Control;
use crate::error::LoadError;

/// Interval at which cancellation is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How much of each output stream is kept, bytes.
const MAX_OUTPUT: usize = 16 << 20;

/// How long the output of a program that has ended is awaited: a process that left its group may keep the pipe open.
const DRAIN: Duration = Duration::from_secs(1);

/// The command with this CPU affinity; empty: any CPU.
pub(super) fn pinned(command: Command, cpus: &[usize]) -> Command {
    if cpus.is_empty() {
        return command;
    }
    let list: Vec<_> = cpus.iter().map(usize::to_string).collect();
    let mut taskset = Command::new("taskset");
    taskset
        .arg("-c")
        .arg(list.join(","))
        .arg(command.get_program())
        .args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        taskset.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => taskset.env(name, value),
            None => taskset.env_remove(name),
        };
    }
    taskset
}

/// Whether a program, given by name or path, is installed.
#[must_use]
pub fn is_installed(program: &Path) -> bool {
    if program.components().count() > 1 {
        return program.is_file();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Why a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By itself.
    Exited(ExitStatus),
    /// It was killed at its time limit.
    TimeLimit,
    /// It was killed because the load was cancelled.
    Cancelled,
}

/// A program that has ended.
#[derive(Debug)]
pub(super) struct Finished {
    /// Why it ended.
    pub end: End,
    /// When it was started.
    pub started: Instant,
    /// How long it ran.
    pub took: Duration,
    /// Standard output.
    pub stdout: Captured,
    /// Standard error.
    pub stderr: Captured,
}

/// The beginning of an output stream.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Captured {
    bytes: Vec<u8>,
    /// Whether there was more than [`MAX_OUTPUT`].
    pub is_cut: bool,
}

impl Captured {
    /// As text; invalid UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = MAX_OUTPUT - self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.is_cut |= bytes.len() > room;
    }
}

/// Runs a program to its end. A cancelled load and the time limit kill it; what its process group leaves behind is killed too.
///
/// # Errors
/// It could not be started.
pub(super) fn execute(mut command: Command, limit: Option<Duration>, control: &Control) -> io::Result<Finished> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    #[expect(
        unsafe_code,
        reason = "only the child itself can ask for a signal at the end of its parent"
    )]
    // SAFETY: between fork and exec the closure only makes one system call (prctl); it neither allocates nor takes a lock.
    unsafe {
        command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?));
    }
    let started = Instant::now();
    let mut child = command.spawn()?;
    let group = Pid::from_raw(child.id().cast_signed());
    let (stdout, stderr) = (Reader::start(child.stdout.take()), Reader::start(child.stderr.take()));
    let exit = on_exit(group);
    let killed = await_end(&exit, started, limit, control);
    // It may have ended already, and its children with it. It is not reaped yet, so its group's number is not taken by another.
    let _ = killpg(group, Signal::SIGKILL);
    let ended = if killed.is_none() { exit.recv().ok() } else { None };
    let status = child.wait()?;
    let took = ended.unwrap_or_else(Instant::now).duration_since(started);
    let deadline = Instant::now() + DRAIN;
    Ok(Finished {
        end: killed.unwrap_or(End::Exited(status)),
        started,
        took,
        stdout: stdout.finish(deadline),
        stderr: stderr.finish(deadline),
    })
}

/// Waits for a program on a thread of its own, which sends the time of its end. The program is not reaped.
fn on_exit(program: Pid) -> Receiver<Instant> {
    let (exit_tx, exit_rx) = mpsc::sync_channel(2);
    std::thread::spawn(move || {
        // An error means that there is nothing to wait for.
        while waitid(Id::Pid(program), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(nix::errno::Errno::EINTR) {}
        let ended = Instant::now();
        // For who waits for the end, and for who wants its time.
        let _ = exit_tx.send(ended);
        let _ = exit_tx.send(ended);
    });
    exit_rx
}

/// Waits for the end of a program; the reason why it has to be killed, if it did not end by itself.
fn await_end(exit: &Receiver<Instant>, started: Instant, limit: Option<Duration>, control: &Control) -> Option<End> {
    loop {
        match exit.recv_timeout(POLL_INTERVAL) {
            Ok(_) | Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) if control.is_cancelled() => return Some(End::Cancelled),
            Err(RecvTimeoutError::Timeout) if limit.is_some_and(|limit| started.elapsed() > limit) => {
                return Some(End::TimeLimit);
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Reads a pipe on a thread of its own, so that the program never blocks on it.
struct Reader {
    captured: Arc<Mutex<Captured>>,
    done: Receiver<()>,
}

impl Reader {
    fn start(pipe: Option<impl Read + Send + 'static>) -> Self {
        let captured = Arc::new(Mutex::new(Captured::default()));
        let (done_tx, done) = mpsc::channel();
        let sink = Arc::clone(&captured);
        std::thread::spawn(move || {
            let mut bytes = vec![0; 64 << 10];
            let mut pipe = pipe;
            // On an error, the output so far is used.
            while let Some(Ok(count @ 1..)) = pipe.as_mut().map(|pipe| pipe.read(&mut bytes)) {
                if let Ok(mut sink) = sink.lock() {
                    sink.add(&bytes[..count]);
                }
            }
            drop(done_tx);
        });
        Self { captured, done }
    }

    fn finish(self, deadline: Instant) -> Captured {
        // The thread sends nothing; its end disconnects the channel.
        let _ = self
            .done
            .recv_timeout(deadline.saturating_duration_since(Instant::now()));
        self.captured
            .lock()
            .map(|mut captured| std::mem::take(&mut *captured))
            .unwrap_or_default()
    }
}

/// Runs a program and returns its standard output. Cancellation kills it and its children.
///
/// # Errors
/// [`LoadError::Missing`], with `remedy`, if it is not installed; [`LoadError::Program`] if it failed.
pub fn run(command: Command, remedy: &str, control: &Control) -> Result<String, LoadError> {
    let program = name(&command);
    let finished = execute(command, None, control).map_err(|error| not_started(&program, remedy, &error))?;
    match finished.end {
        End::Exited(status) if status.success() => Ok(finished.stdout.text()),
        End::Exited(status) => Err(failed(
            &program,
            format!("{status}: {}", last_lines(&finished.stderr.text())),
        )),
        End::TimeLimit | End::Cancelled => Err(failed(&program, "it was killed".to_owned())),
    }
}

/// The error of a program that could not be started.
pub(super) fn not_started(program: &str, remedy: &str, error: &io::Error) -> LoadError {
    match error.kind() {
        io::ErrorKind::NotFound => LoadError::Missing {
            program: program.to_owned(),
            remedy: remedy.to_owned(),
        },
        _ => failed(program, error.to_string()),
    }
}

/// The error of a program that failed.
pub(super) fn failed(program: &str, why: String) -> LoadError {
    LoadError::Program {
        program: program.to_owned(),
        why,
    }
}

/// The name of the program, after `taskset` if it is pinned.
fn name(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let is_pinned = command.get_program() == "taskset";
    let mut words = words.skip(if is_pinned { 3 } else { 0 });
    words.next().unwrap_or_default().to_string_lossy().into_owned()
}

/// The last lines with content.
pub(super) fn last_lines(errors: &str) -> String {
    const LINES: usize = 4;
    let lines: Vec<_> = errors
        .lines()
        .map(str::trim)
        .filter(|line| line.contains(char::is_alphanumeric))
        .collect();
    match &lines[lines.len().saturating_sub(LINES)..] {
        [] => "no error output".to_owned(),
        last => last.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn missing_and_failing_programs_are_errors() {
        let missing = run(
            Command::new("/nonexistent/httperf"),
            "apt-get install httperf",
            &Control::new(),
        );
        let text = missing.unwrap_err().to_string();
        assert!(
            text.contains("/nonexistent/httperf") && text.contains("apt-get install"),
            "{text}"
        );
        let failing = shell("echo because >&2; echo -------- >&2; echo >&2; exit 3");
        let text = run(failing, "", &Control::new()).unwrap_err().to_string();
        assert!(text.contains("because") && text.contains('3'), "{text}");
    }

    #[test]
    fn cancellation_kills_the_program() {
        let control = Control::new();
        control.cancel();
        let mut endless = Command::new("sleep");
        endless.arg("1000");
        assert!(run(endless, "", &control).is_err());
    }

    #[test]
    fn the_time_limit_kills_the_program_and_its_children() {
        let endless = shell("echo $$; sleep 1000 & wait");
        let finished = execute(endless, Some(Duration::from_millis(200)), &Control::new()).unwrap();
        assert_eq!(finished.end, End::TimeLimit);
        let group: i32 = finished.stdout.text().trim().parse().unwrap();
        // A killed child belongs to the group until it is reaped, by whoever inherits it.
        while killpg(Pid::from_raw(group), None).is_ok() {
            assert!(
                finished.started.elapsed() < Duration::from_secs(60),
                "a process is left"
            );
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    #[test]
    fn a_child_that_keeps_the_pipe_open_does_not_hold_up_the_end() {
        // The child leaves the group, so it is not killed with it.
        let finished = execute(shell("echo out; setsid sleep 30 & echo $!"), None, &Control::new()).unwrap();
        let text = finished.stdout.text();
        assert!(
            matches!(finished.end, End::Exited(status) if status.success()) && text.starts_with("out"),
            "{text}"
        );
        assert!(finished.took < Duration::from_secs(20));
        let child: i32 = text.lines().last().unwrap().parse().unwrap();
        nix::sys::signal::kill(Pid::from_raw(child), Signal::SIGKILL).unwrap();
    }

    #[test]
    fn output_is_cut_and_the_program_does_not_block_on_it() {
        let much = shell("head -c 40000000 /dev/zero; echo done >&2");
        let finished = execute(much, Some(Duration::from_secs(60)), &Control::new()).unwrap();
        assert!(finished.stdout.is_cut && finished.stdout.bytes.len() == MAX_OUTPUT);
        assert_eq!(
            (finished.stderr.text().as_str(), finished.stderr.is_cut),
            ("done\n", false)
        );
    }

    #[test]
    fn a_pinned_program_keeps_its_folder_and_environment() {
        let mut command = shell("pwd; echo $COLOUR");
        command.current_dir("/").env("COLOUR", "blue");
        let allowed = nix::sched::sched_getaffinity(Pid::from_raw(0)).unwrap();
        let first = (0..1024).find(|&cpu| allowed.is_set(cpu).unwrap()).unwrap();
        let finished = execute(pinned(command, &[first]), None, &Control::new()).unwrap();
        assert_eq!(finished.stdout.text(), "/\nblue\n");
    }
}
