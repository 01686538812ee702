//! Other tools on the same processes.

use std::process::{Child, Command, Stdio};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// A typical psutil script, one reading a second: prints the CPU seconds that the processes used.
const PSUTIL: &str = "
import sys, time, psutil
pids = [int(p) for p in sys.argv[2].split(',')]
procs = [psutil.Process(p) for p in pids]
def look(p):
    with p.oneshot():
        c = p.cpu_times(); m = p.memory_info(); p.num_ctx_switches(); p.io_counters(); p.num_fds(); p.num_threads()
        return c.user + c.system
first = sum(look(p) for p in procs)
for _ in range(int(sys.argv[1])):
    time.sleep(1)
    last = sum(look(p) for p in procs)
print(last - first)
";

/// pidstat for these processes, once a second; `flags` select the counters.
pub fn pidstat(flags: &str, pids: &[u32], seconds: u64) -> std::io::Result<Child> {
    let mut command = Command::new("pidstat");
    command
        .args(["-h", flags, "-p", &list(pids), "1", &seconds.to_string()])
        .env("LC_ALL", "C");
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
}

/// A psutil script for these processes, once a second.
pub fn psutil(pids: &[u32], seconds: u64) -> std::io::Result<Child> {
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", PSUTIL, &seconds.to_string(), &list(pids)]);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
}

fn list(pids: &[u32]) -> String {
    pids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// The output of a tool; `None`: it is not installed, or failed.
pub fn output(tool: std::io::Result<Child>) -> Option<String> {
    let output = tool.ok()?.wait_with_output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The CPU time according to pidstat's column `%CPU`, with a row per second, s.
pub fn cpu_seconds(text: &str) -> Option<f64> {
    let head = text.lines().find(|line| line.starts_with('#'))?;
    let column = head.split_whitespace().skip(1).position(|word| word == "%CPU")?;
    let rows = text
        .lines()
        .filter(|line| line.starts_with(char::is_numeric) || line.starts_with(' '));
    let values: Vec<f64> = rows
        .filter_map(|line| line.split_whitespace().nth(column)?.parse().ok())
        .collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / 100.0)
}

/// CPU time of all children that were waited for so far, s.
pub fn children_s() -> f64 {
    getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0.0, |usage| {
        (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6
    })
}
