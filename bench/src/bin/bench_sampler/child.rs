//! The measured processes: this program again, with a role as its first argument. Each starts and ends on a line of its input and prints what it used.

use std::io::{BufRead, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use runner::clock;

/// The length of a busy and an idle phase together.
const PERIOD: Duration = Duration::from_millis(10);

/// Runs as a measured process; `false`: unknown role.
pub fn run(role: &str, arguments: &[String]) -> bool {
    let number = |index: usize| {
        arguments
            .get(index)
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or(0)
    };
    match role {
        "child-burn" => measured(|| burn(number(0), Duration::from_secs(number(1)))),
        "child-forks" => measured(|| forks(Duration::from_secs(number(0)))),
        "child-spin" => spin(Duration::from_millis(number(0))),
        "child-hold" => super::memory::hold(arguments.first().map_or("", String::as_str), number(1), number(2)),
        "child-sleep" => wait(),
        "child-wake" => wake(Duration::from_millis(number(0))),
        _ => return false,
    }
    true
}

/// Waits for a line.
pub fn wait() {
    let _ = std::io::stdin().lock().read_line(&mut String::new());
}

/// Wakes up for a moment again and again.
fn wake(every: Duration) {
    loop {
        std::thread::sleep(every);
    }
}

/// Prints a line and flushes it.
pub fn print(text: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Waits for a line, works, prints the CPU time of the work by getrusage, ns, and waits again.
fn measured(work: impl FnOnce()) {
    print("ready");
    wait();
    let before = used();
    work();
    print(&(used() - before).to_string());
    wait();
}

/// CPU time of this process and of the children that it waited for, ns.
fn used() -> i64 {
    let of = |who| {
        getrusage(who).map_or(0, |usage: Usage| {
            usage.user_time().num_microseconds() + usage.system_time().num_microseconds()
        })
    };
    1000 * (of(UsageWho::RUSAGE_SELF) + of(UsageWho::RUSAGE_CHILDREN))
}

/// Uses this share of a CPU, in as many threads as that takes.
fn burn(percent: u64, length: Duration) {
    let threads = percent.div_ceil(100).max(1);
    let share = percent as f64 / threads as f64 / 100.0;
    let until = Instant::now() + length;
    // The threads stay alive: the usage of threads that have ended is measured elsewhere.
    let done = Arc::new(Barrier::new(usize::try_from(threads).unwrap_or(1)));
    for _ in 1..threads {
        let done = Arc::clone(&done);
        std::thread::spawn(move || {
            work(share, until);
            done.wait();
            loop {
                std::thread::park();
            }
        });
    }
    work(share, until);
    done.wait();
}

/// Is busy for a share of every period.
fn work(share: f64, until: Instant) {
    while Instant::now() < until {
        let begin = Instant::now();
        spin(PERIOD.mul_f64(share));
        if let Some(rest) = PERIOD.checked_sub(begin.elapsed()) {
            std::thread::sleep(rest);
        }
    }
}

/// Uses this much CPU time.
fn spin(length: Duration) {
    let until = clock::thread_cpu_ns() + u64::try_from(length.as_nanos()).unwrap_or(0);
    while clock::thread_cpu_ns() < until {
        std::hint::spin_loop();
    }
}

/// Starts children that live for some milliseconds, one after the other, and waits for each.
fn forks(length: Duration) {
    let until = Instant::now() + length;
    while Instant::now() < until {
        let Ok(program) = std::env::current_exe() else { return };
        let _ = Command::new(program).args(["child-spin", "7"]).status();
    }
}

/// A measured process.
#[derive(Debug)]
pub struct Helper {
    child: Child,
    input: ChildStdin,
    output: std::io::BufReader<ChildStdout>,
}

impl Helper {
    /// Starts it.
    pub fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().context("no input")?;
        let output = std::io::BufReader::new(child.stdout.take().context("no output")?);
        Ok(Self { child, input, output })
    }

    /// Its PID.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a line.
    pub fn proceed(&mut self) -> anyhow::Result<()> {
        Ok(self.input.write_all(b"\n")?)
    }

    /// Its next line of output.
    pub fn read_line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        anyhow::ensure!(!line.is_empty(), "a measured process has ended");
        Ok(line.trim().to_owned())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
