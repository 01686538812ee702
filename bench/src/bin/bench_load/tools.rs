//! The tools of the field, each pinned to the generators' core.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use loader::Control;
use loader::external::httperf::{HttperfPlan, Report};
use loader::external::jmeter::JmeterPlan;
use loader::external::jtl::Samples;
use loader::external::run;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};

use super::Bench;
use super::engine::target;
use super::servers::{Server, pinned};

/// How fast a generator was, and what it took for that.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// Requests a second.
    pub rate: f64,
    /// How many cores it kept busy.
    pub cores: f64,
}

impl Speed {
    /// Requests for a second of CPU time.
    pub fn per_core(&self) -> f64 {
        self.rate / self.cores
    }

    /// CPU time for a request, us.
    pub fn cpu_us(&self) -> f64 {
        1e6 / self.per_core()
    }
}

/// Runs a program to its end; what it printed, and how many cores it kept busy.
fn timed(command: Command, remedy: &'static str) -> anyhow::Result<(String, f64)> {
    let (start, before) = (Instant::now(), children_cpu_s()?);
    let text = run(command, remedy, &Control::new())?;
    Ok((text, (children_cpu_s()? - before) / start.elapsed().as_secs_f64()))
}

/// CPU time of all children that have ended so far, seconds.
fn children_cpu_s() -> anyhow::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: TimeVal| time.num_microseconds() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// What wrk says.
#[derive(Debug, Clone, Copy)]
pub struct Wrk {
    /// How fast it was.
    pub speed: Speed,
    /// Its 99th percentile, ms.
    pub p99_ms: f64,
    /// Its 99.9th percentile, ms.
    pub p999_ms: f64,
}

const SCRIPT: &str = "done = function(summary, latency, requests)
  io.write(string.format('JUNG %f %f %f\\n', summary.requests / (summary.duration / 1e6), latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3))
end
";

/// Runs wrk on 64 connections.
pub fn wrk(bench: &Bench, server: &Server, seconds: f64, header: &[&str]) -> anyhow::Result<Wrk> {
    let script = tempfile::NamedTempFile::new()?;
    std::fs::write(script.path(), SCRIPT)?;
    let mut command = pinned("wrk", bench.cpu);
    command
        .args(["-t1", "-c64", &format!("-d{}s", seconds.round().max(1.0)), "-s"])
        .arg(script.path());
    command.args(header).arg(server.url());
    let (text, cores) = timed(command, "apt-get install wrk")?;
    let line = text.lines().find_map(|line| line.strip_prefix("JUNG "));
    let numbers: Vec<f64> = line
        .context("wrk said nothing")?
        .split(' ')
        .filter_map(|n| n.parse().ok())
        .collect();
    match numbers[..] {
        [rate, p99_ms, p999_ms] => Ok(Wrk {
            speed: Speed { rate, cores },
            p99_ms,
            p999_ms,
        }),
        _ => bail!("wrk's script wrote {line:?}"),
    }
}

/// Runs httperf with a connection for each request, or several calls on each.
pub fn httperf(bench: &Bench, server: &Server, rate: f64, seconds: f64, calls: u32) -> anyhow::Result<Report> {
    let plan = HttperfPlan {
        rate_per_s: rate,
        duration: Duration::from_secs_f64(seconds),
        calls,
        timeout: Duration::from_secs(2),
    };
    let bare = plan.command(&target(server.address));
    // Above its limit it may take many times as long as it was told; that is as good as an error.
    let mut command = pinned("timeout", bench.cpu);
    command
        .arg((seconds * 3.0 + 3.0).to_string())
        .arg(bare.get_program())
        .args(bare.get_args());
    let text = run(command, "apt-get install httperf", &Control::new())?;
    Report::parse(&text).map_err(anyhow::Error::msg)
}

/// Runs oha on 64 connections, without its display, which is its fast path.
pub fn oha(bench: &Bench, server: &Server) -> anyhow::Result<Speed> {
    let mut command = pinned(oha_path()?, bench.cpu);
    command.args(["--no-tui", "-c", "64", "--output-format", "json", "-z"]);
    command
        .arg(format!("{}s", bench.seconds.round().max(1.0)))
        .arg(server.url());
    let (text, cores) = timed(command, OHA)?;
    let all: serde_json::Value = serde_json::from_str(&text)?;
    let rate = all["summary"]["requestsPerSec"]
        .as_f64()
        .context("oha names no requestsPerSec")?;
    Ok(Speed { rate, cores })
}

/// Runs oha at a rate, with the times of its requests corrected for what it was late: a schedule like wrk2's.
pub fn oha_at(bench: &Bench, server: &Server, rate: f64) -> anyhow::Result<()> {
    let mut command = pinned(oha_path()?, bench.cpu);
    command.args(["--no-tui", "-c", "32", "--latency-correction", "-q"]);
    command.arg(rate.to_string()).arg("-z");
    command
        .arg(format!("{}s", (bench.seconds + 1.0).round()))
        .arg(server.url());
    run(command, OHA, &Control::new())?;
    Ok(())
}

const OHA: &str = "cargo install oha --locked --root ~/.cache/jung/oha";

/// The newest oha of the Rust registry; installed into the cache if it is not there.
fn oha_path() -> anyhow::Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let root = cache
        .context("neither XDG_CACHE_HOME nor HOME is set")?
        .join("jung/oha");
    let path = root.join("bin/oha");
    if !path.exists() {
        eprintln!(
            "   installing oha into {}, which takes some minutes once",
            root.display()
        );
        let status = Command::new("cargo")
            .args(["install", "oha", "--locked", "--root"])
            .arg(&root)
            .status()?;
        if !status.success() {
            bail!("oha cannot be installed: {OHA}");
        }
    }
    Ok(path)
}

/// Runs JMeter on 64 threads; requests a second without its first three seconds, in which it warms up. Its cores are those of all its time, start included: it
/// takes the whole core then, too.
pub fn jmeter(bench: &Bench, server: &Server) -> anyhow::Result<Speed> {
    const WARM_UP: Duration = Duration::from_secs(3);
    let folder = tempfile::tempdir()?;
    let (plan, jtl) = (folder.path().join("plan.jmx"), folder.path().join("out.jtl"));
    let duration = Duration::from_secs_f64(bench.seconds) + WARM_UP;
    let jmx = JmeterPlan {
        threads: 64,
        duration,
        think: Duration::ZERO,
        keep_alive: true,
        timeout: Duration::from_secs(10),
    };
    std::fs::write(&plan, jmx.jmx(&target(server.address)))?;
    let script: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "deploy", "jmeter", "jmeter.sh"]
        .iter()
        .collect();
    let mut command = pinned(script, bench.cpu);
    command.arg("run").arg(&plan).arg(&jtl);
    let (_, cores) = timed(command, "deploy/jmeter/jmeter.sh")?;
    let samples = Samples::read(std::fs::File::open(&jtl)?, WARM_UP).map_err(anyhow::Error::msg)?;
    let good: Vec<_> = samples
        .requests
        .iter()
        .filter(|r| !r.warm_up && r.error.is_none())
        .collect();
    let last = good
        .iter()
        .map(|r| r.done_ns)
        .max()
        .context("JMeter made no request after its warm-up")?;
    let rate = good.len() as f64 * 1e9 / (last - 3_000_000_000) as f64;
    Ok(Speed { rate, cores })
}
