//! Memory of many requests, in a process of its own.

use std::net::SocketAddr;
use std::time::Duration;

use analysis::store::{JtlContext, RunFolder};
use anyhow::Context;
use loader::{Control, Engine, Max, MaxPlan};

use super::Bench;
use super::engine::target;
use super::rows::Rows;
use super::servers::{Server, own};

/// The most memory, MiB.
const MOST_MIB: f64 = 200.0;

/// Ten million requests and their JTL.
pub fn flat(bench: &Bench, rows: &mut Rows) -> anyhow::Result<()> {
    let server = Server::tcp(bench.server_cpu)?;
    let output = std::process::Command::new(own()?)
        .args(["memory", &server.address.to_string(), &bench.requests.to_string()])
        .arg(bench.cpu.to_string())
        .stderr(std::process::Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    let [requests, after_load, after_jtl, jtl_mib] = numbers[..] else {
        anyhow::bail!("the process of the test wrote {text:?}");
    };
    let ours = format!(
        "{requests:.0} requests: {after_load:.0} MiB after the load, {after_jtl:.0} MiB after writing {jtl_mib:.0} MiB of JTL"
    );
    let enough = requests >= bench.requests as f64;
    rows.add(
        "memory, peak of the process",
        ours,
        String::new(),
        "<= 200 MB",
        after_jtl <= MOST_MIB && enough,
    );
    Ok(())
}

/// The process: prints requests, peak MiB after the load and after the JTL, MiB of the JTL.
pub fn child(address: SocketAddr, requests: u64, cpu: usize) -> anyhow::Result<()> {
    let plan = MaxPlan {
        warm_up: Duration::ZERO,
        timeout: Duration::from_secs(30),
        cpus: vec![cpu],
        ..MaxPlan::new(64, Duration::from_secs(3600))
    };
    let (engine, control) = (Max::new(&plan, &target(address))?, Control::new());
    let outcome = std::thread::scope(|scope| {
        let load = scope.spawn(|| engine.run(&control));
        while control.progress().succeeded < requests && !load.is_finished() {
            std::thread::sleep(Duration::from_millis(10));
        }
        control.cancel();
        load.join()
    });
    let outcome = outcome.map_err(|_| anyhow::anyhow!("the load panicked"))??;
    let after_load = peak_mib()?;
    let folder = tempfile::tempdir_in("/var/tmp")?;
    let run = RunFolder::at(folder.path());
    let key = serde_json::from_str(
        r#"{"trial":{"block":1,"cell":{"platform":"native","workload":"tcp","load":"max"}},"attempt":1}"#,
    )?;
    let mut writer = run.begin(&key)?;
    let context = JtlContext {
        groups: Vec::new(),
        label: "max/tcp".to_owned(),
        labels: outcome.labels.clone(),
        origin_epoch_ns: outcome.started_unix_ms * 1_000_000,
    };
    writer.requests(outcome.requests.read()?, &context)?;
    let after_jtl = peak_mib()?;
    let jtl = writer.length_of(analysis::store::REQUESTS).context("there is no JTL")?;
    println!("{} {after_load} {after_jtl} {}", outcome.counts.succeeded, jtl >> 20);
    Ok(())
}

/// The most memory that this process ever held, MiB.
fn peak_mib() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib / 1024.0)
}
