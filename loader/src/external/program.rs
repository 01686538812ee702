//! Runs an external program, and kills it when the load is cancelled.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::control::Control;
use crate::error::LoadError;

/// Interval at which exit and cancellation are checked.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

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

/// Runs a program and returns its standard output. Cancellation kills it and its children.
///
/// # Errors
/// [`LoadError::Missing`], with `remedy`, if it is not installed; [`LoadError::Program`] if it failed.
pub fn run(mut command: Command, remedy: &'static str, control: &Control) -> Result<String, LoadError> {
    let program = name(&command);
    let fail = |why: String| LoadError::Program {
        program: program.clone(),
        why,
    };
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => LoadError::Missing {
            program: program.clone(),
            remedy,
        },
        _ => fail(error.to_string()),
    })?;
    let group = Pid::from_raw(child.id().cast_signed());
    let (output, errors) = (reader(child.stdout.take()), reader(child.stderr.take()));
    let status = loop {
        if control.is_cancelled() {
            // It may have exited already.
            let _ = killpg(group, Signal::SIGKILL);
        }
        if let Some(status) = child.try_wait().map_err(|error| fail(error.to_string()))? {
            break status;
        }
        std::thread::sleep(POLL_INTERVAL);
    };
    let text = |thread: std::thread::JoinHandle<Vec<u8>>| {
        String::from_utf8_lossy(&thread.join().unwrap_or_default()).into_owned()
    };
    let (output, errors) = (text(output), text(errors));
    if status.success() {
        return Ok(output);
    }
    Err(fail(format!("{status}: {}", last_lines(&errors))))
}

/// The name of the program, after `taskset` if it is pinned.
fn name(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let is_pinned = command.get_program() == "taskset";
    let mut words = words.skip(if is_pinned { 3 } else { 0 });
    words.next().unwrap_or_default().to_string_lossy().into_owned()
}

/// The last lines with content.
fn last_lines(errors: &str) -> String {
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

/// Reads a pipe on a separate thread, so that the program never blocks on it.
fn reader(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // On an error, the output so far is used.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let mut failing = Command::new("sh");
        failing.args(["-c", "echo because >&2; echo -------- >&2; echo >&2; exit 3"]);
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
}
