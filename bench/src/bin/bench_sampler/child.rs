//! The processes that are measured: this program again, told by its first argument what to play. Each begins and ends on a line of its input, and
//! says by itself what it used.

use std::io::{BufRead, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use runner::clock;

/// The length of a busy and an idle stretch together.
const PERIOD: Duration = Duration::from_millis(10);

/// Plays a part; `false`: this is none.
pub fn play(part: &str, arguments: &[String]) -> bool {
    let number = |place: usize| {
        arguments
            .get(place)
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or(0)
    };
    match part {
        "play-burn" => told(|| burn(number(0), Duration::from_secs(number(1)))),
        "play-forks" => told(|| forks(Duration::from_secs(number(0)))),
        "play-spin" => spin(Duration::from_millis(number(0))),
        "play-hold" => super::memory::hold(arguments.first().map_or("", String::as_str), number(1), number(2)),
        "play-sleep" => wait(),
        "play-wake" => wake(Duration::from_millis(number(0))),
        _ => return false,
    }
    true
}

/// Waits for a line.
pub fn wait() {
    let _ = std::io::stdin().lock().read_line(&mut String::new());
}

/// Runs for a moment again and again.
fn wake(every: Duration) {
    loop {
        std::thread::sleep(every);
    }
}

/// Says something at once.
pub fn say(text: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Waits for the word, works, says how much CPU that took by getrusage, ns, and waits again.
fn told(work: impl FnOnce()) {
    say("ready");
    wait();
    let before = used();
    work();
    say(&(used() - before).to_string());
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

/// Uses so many % of a CPU, in as many threads as that takes.
fn burn(percent: u64, length: Duration) {
    let threads = percent.div_ceil(100).max(1);
    let share = percent as f64 / threads as f64 / 100.0;
    let until = Instant::now() + length;
    // They stay when they are done: what a thread that has ended used is another row.
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

/// Busy for a share of every period.
fn work(share: f64, until: Instant) {
    while Instant::now() < until {
        let begin = Instant::now();
        spin(PERIOD.mul_f64(share));
        if let Some(rest) = PERIOD.checked_sub(begin.elapsed()) {
            std::thread::sleep(rest);
        }
    }
}

/// Uses so much CPU time.
fn spin(length: Duration) {
    let until = clock::thread_cpu_ns() + u64::try_from(length.as_nanos()).unwrap_or(0);
    while clock::thread_cpu_ns() < until {
        std::hint::spin_loop();
    }
}

/// Starts children one after the other that live for some milliseconds, and waits for each.
fn forks(length: Duration) {
    let until = Instant::now() + length;
    while Instant::now() < until {
        let Ok(program) = std::env::current_exe() else { return };
        let _ = Command::new(program).args(["play-spin", "7"]).status();
    }
}

/// A process that plays.
#[derive(Debug)]
pub struct Played {
    child: Child,
    input: ChildStdin,
    output: std::io::BufReader<ChildStdout>,
}

impl Played {
    /// Starts one.
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

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gives it the word.
    pub fn tell(&mut self) -> anyhow::Result<()> {
        Ok(self.input.write_all(b"\n")?)
    }

    /// What it says next.
    pub fn hear(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        anyhow::ensure!(!line.is_empty(), "a process that plays has ended");
        Ok(line.trim().to_owned())
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
