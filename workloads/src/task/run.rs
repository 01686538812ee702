//! One run of the program.

use std::fmt;
use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Options;

/// The most of the standard output that is compared, bytes.
const MAX_OUTPUT: u64 = 1 << 20;

/// What a run took, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// From its start, before `fork`, until its end was noticed.
    pub wall: Duration,
    /// CPU time in user mode, with that of its children for which it waited.
    pub user: Duration,
    /// CPU time in the kernel.
    pub system: Duration,
    /// The peak of its resident memory, KiB.
    pub peak_kib: u64,
    /// Bytes that it wrote to standard output.
    pub output_bytes: u64,
    /// Its exit code; `None`: a signal ended it.
    pub exit_code: Option<i32>,
    /// Why it is not a success.
    pub failure: Option<String>,
}

impl fmt::Display for Run {
    /// Lines of `name value`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "wall_ns {}", self.wall.as_nanos())?;
        writeln!(f, "user_ns {}", self.user.as_nanos())?;
        writeln!(f, "system_ns {}", self.system.as_nanos())?;
        writeln!(f, "peak_kib {}", self.peak_kib)?;
        writeln!(f, "output_bytes {}", self.output_bytes)?;
        if let Some(code) = self.exit_code {
            writeln!(f, "exit_code {code}")?;
        }
        match &self.failure {
            Some(why) => writeln!(f, "failure {}", why.replace(char::is_control, " ")),
            None => Ok(()),
        }
    }
}

/// Runs the program.
#[derive(Debug, Clone)]
pub struct Runner {
    options: Arc<Options>,
    /// The process that runs and is not yet reaped.
    running: Arc<Mutex<Option<i32>>>,
}

impl Runner {
    /// A runner of the program in these options.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options: Arc::new(options),
            running: Arc::default(),
        }
    }

    /// Runs the program to its end.
    ///
    /// # Errors
    /// It cannot be started, or waited for.
    pub fn run(&self) -> io::Result<Run> {
        let program = self.options.program.first().map_or("", String::as_str);
        let mut command = Command::new(program);
        command.args(self.options.program.iter().skip(1));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let started = Instant::now();
        let mut child = command.spawn()?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(pid);
        let output = read_output(&mut child);
        wait_for_end(pid)?;
        let wall = started.elapsed();
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let (status, usage) = reap(pid)?;
        *running = None;
        drop(running);
        let (head, output_bytes) = output?;
        let exit_code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
        Ok(Run {
            wall,
            user: duration(usage.ru_utime),
            system: duration(usage.ru_stime),
            peak_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
            output_bytes,
            exit_code,
            failure: self.failure(status, exit_code, &head, output_bytes),
        })
    }

    /// Kills the program if it runs.
    #[expect(unsafe_code, reason = "kill has no safe form in std")]
    pub fn kill(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pid) = *running {
            // SAFETY: no memory is touched; the lock keeps the process from being reaped, so its id is still its own.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
    }

    fn failure(&self, status: i32, exit_code: Option<i32>, output: &[u8], output_bytes: u64) -> Option<String> {
        let expected = i32::from(self.options.exit_code);
        match exit_code {
            None => return Some(format!("signal {} ended it", libc::WTERMSIG(status))),
            Some(code) if code != expected => return Some(format!("exit code {code}, expected {expected}")),
            Some(_) => {}
        }
        let wanted = self.options.output.as_ref()?;
        let found = output.strip_suffix(b"\n").unwrap_or(output);
        let is_whole = output.len() as u64 == output_bytes;
        (!is_whole || found != wanted.as_bytes()).then(|| {
            let begin = String::from_utf8_lossy(&output[..output.len().min(100)]);
            format!("its output of {output_bytes} bytes is not the expected one: it begins {begin:?}")
        })
    }
}

/// The beginning of the standard output, and its length. Reads until the program has closed it.
fn read_output(child: &mut Child) -> io::Result<(Vec<u8>, u64)> {
    let Some(mut stdout) = child.stdout.take() else {
        return Ok((Vec::new(), 0));
    };
    let mut head = Vec::new();
    stdout.by_ref().take(MAX_OUTPUT).read_to_end(&mut head)?;
    let rest = io::copy(&mut stdout, &mut io::sink())?;
    let length = head.len() as u64 + rest;
    Ok((head, length))
}

/// Waits until a child has ended, which it leaves to be reaped.
#[expect(unsafe_code, reason = "waitid has no safe form in std")]
fn wait_for_end(pid: i32) -> io::Result<()> {
    loop {
        // SAFETY: an all-zero siginfo_t is valid.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let options = libc::WEXITED | libc::WNOWAIT;
        // SAFETY: `info` is valid and lives over the call.
        if unsafe { libc::waitid(libc::P_PID, pid.cast_unsigned(), &raw mut info, options) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// The status of a child that has ended, and what it used.
#[expect(unsafe_code, reason = "wait4 has no safe form in std")]
fn reap(pid: i32) -> io::Result<(i32, libc::rusage)> {
    let mut status = 0;
    // SAFETY: an all-zero rusage is valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both are valid and live over the call.
    match unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok((status, usage)),
    }
}

fn duration(time: libc::timeval) -> Duration {
    let (seconds, micros) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_usec));
    Duration::from_secs(seconds.unwrap_or(0)) + Duration::from_micros(micros.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runner(script: &str, (exit_code, output): (u8, Option<&str>)) -> Runner {
        Runner::new(Options {
            listen: ([127, 0, 0, 1], 0).into(),
            exit_code,
            output: output.map(str::to_owned),
            program: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        })
    }

    #[test]
    fn a_run_is_measured() {
        let burn = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done";
        let run = runner(burn, (0, Some("done"))).run().unwrap();
        assert_eq!(
            (run.exit_code, run.failure.as_deref(), run.output_bytes),
            (Some(0), None, 5)
        );
        assert!(
            run.user + run.system > Duration::ZERO && run.wall >= run.user,
            "{run:?}"
        );
        assert!(run.peak_kib > 100, "{run:?}");
        let text = run.to_string();
        assert!(
            text.starts_with("wall_ns ") && text.contains("\nexit_code 0\n"),
            "{text}"
        );
    }

    #[test]
    fn what_is_not_as_expected_is_a_failure() {
        let failure = |script: &str, expected| runner(script, expected).run().unwrap().failure.unwrap();
        assert_eq!(failure("exit 3", (0, None)), "exit code 3, expected 0");
        assert_eq!(failure("kill -9 $$", (0, None)), "signal 9 ended it");
        let wrong = failure("echo 41", (0, Some("42")));
        assert_eq!(
            wrong,
            "its output of 3 bytes is not the expected one: it begins \"41\\n\""
        );
        assert_eq!(runner("exit 3", (3, None)).run().unwrap().failure, None);
        assert_eq!(
            runner("printf 'a\\nb\\n'", (0, Some("a\nb"))).run().unwrap().failure,
            None
        );
        // Longer than what is compared.
        let long = runner("head -c 2000000 /dev/zero", (0, None)).run().unwrap();
        assert_eq!((long.output_bytes, long.failure), (2_000_000, None));
    }

    #[test]
    fn a_program_that_does_not_exist_is_an_error() {
        let mut options = Options::clone(&runner("", (0, None)).options);
        options.program = vec!["/nowhere".into()];
        assert_eq!(Runner::new(options).run().unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_running_program_is_killed() {
        let runner = runner("exec sleep 100", (0, None));
        let other = runner.clone();
        let thread = std::thread::spawn(move || other.run().unwrap());
        while runner.running.lock().unwrap().is_none() {
            std::thread::yield_now();
        }
        runner.kill();
        assert_eq!(thread.join().unwrap().failure.unwrap(), "signal 9 ended it");
    }
}
