//! The tools of the field, each pinned to the generators' core.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use controller::load::Control;
use controller::load::external::httperf::{HttperfPlan, Report};
use controller::load::external::jmeter::{JmeterPlan, Samples};
use controller::load::external::run;

use super::Bench;
use super::engine::target;
use super::servers::{Server, pinned};

/// What wrk says.
#[derive(Debug, Clone, Copy)]
pub struct Wrk {
    /// Requests a second.
    pub rate: f64,
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
    let text = run(command, "apt-get install wrk", &Control::new())?;
    let line = text.lines().find_map(|line| line.strip_prefix("JUNG "));
    let numbers: Vec<f64> = line
        .context("wrk said nothing")?
        .split(' ')
        .filter_map(|n| n.parse().ok())
        .collect();
    match numbers[..] {
        [rate, p99_ms, p999_ms] => Ok(Wrk { rate, p99_ms, p999_ms }),
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
pub fn oha(bench: &Bench, server: &Server) -> anyhow::Result<f64> {
    let mut command = pinned(oha_path()?, bench.cpu);
    command.args(["--no-tui", "-c", "64", "--output-format", "json", "-z"]);
    command
        .arg(format!("{}s", bench.seconds.round().max(1.0)))
        .arg(server.url());
    let text = run(command, OHA, &Control::new())?;
    let all: serde_json::Value = serde_json::from_str(&text)?;
    all["summary"]["requestsPerSec"]
        .as_f64()
        .context("oha names no requestsPerSec")
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

/// Runs JMeter on 64 threads; requests a second without its first three seconds, in which it warms up.
pub fn jmeter(bench: &Bench, server: &Server) -> anyhow::Result<f64> {
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
    run(command, "deploy/jmeter/jmeter.sh", &Control::new())?;
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
    Ok(good.len() as f64 * 1e9 / (last - 3_000_000_000) as f64)
}
