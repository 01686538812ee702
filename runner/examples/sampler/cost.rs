//! What a sample costs, and what others pay for the same processes at the same rate.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use protocol::Name;
use runner::clock;
use runner::sampler::round::Rounds;
use runner::sampler::source::Depth;
use runner::sampler::{Service, Targets};

use super::burn::Watch;
use super::others;
use super::table::Table;

const SECONDS: u64 = 10;

/// Processes that sleep, and end with this.
struct Crowd(Vec<Child>);

impl Crowd {
    fn gather(count: usize) -> anyhow::Result<Self> {
        let mut crowd = Self(Vec::new());
        for _ in 0..count {
            crowd
                .0
                .push(Command::new("sleep").arg("600").stdin(Stdio::null()).spawn()?);
        }
        Ok(crowd)
    }

    fn pids(&self) -> Vec<u32> {
        self.0.iter().map(Child::id).collect()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|child| drop(child.kill()));
        self.0.iter_mut().for_each(|child| drop(child.wait()));
    }
}

/// Everything about cost.
pub fn run(table: &mut Table) -> anyhow::Result<()> {
    let crowd = Crowd::gather(400)?;
    rounds(table, crowd.pids())?;
    against_others(table, &crowd.pids())?;
    drop(crowd);
    thousand(table)
}

/// One round, by depth.
fn rounds(table: &mut Table, pids: Vec<u32>) -> anyhow::Result<()> {
    let name: Name = "bench".parse()?;
    let count = pids.len();
    let targets = Targets {
        services: vec![Service::new(name, pids)],
        ..Targets::default()
    };
    let mut rounds = Rounds::new(
        "/proc".into(),
        std::path::Path::new("/sys"),
        runner::facts::page_bytes(),
    );
    rounds.sample(&targets, Depth::Full, || 0);
    let mut cost = |depth, repeats: u32| {
        let before = clock::thread_cpu_ns();
        (0..repeats).for_each(|_| drop(rounds.sample(&targets, depth, clock::now_ns)));
        (clock::thread_cpu_ns() - before) as f64 / f64::from(repeats) / count as f64 / 1000.0
    };
    let (quick, full) = (cost(Depth::Quick, 50), cost(Depth::Full, 5));
    table.row(
        "one quick sample (CPU, memory)",
        "< 20 us a PID",
        &format!("{quick:.2} us"),
        quick < 20.0,
    );
    table.row(
        "one full sample (all counters, and the host)",
        "< 20 us a PID",
        &format!("{full:.2} us"),
        full < 20.0,
    );
    Ok(())
}

/// The same processes once a second.
fn against_others(table: &mut Table, pids: &[u32]) -> anyhow::Result<()> {
    let watch = Watch::begin(pids.to_vec(), 1000)?;
    std::thread::sleep(Duration::from_secs(SECONDS));
    let (_, sampled) = watch.end();
    let ours = sampled.cpu_ns as f64 / 1e9;
    let spent = |tool: &dyn Fn() -> Option<String>| {
        let before = others::children_s();
        tool().map(|_| others::children_s() - before)
    };
    let pidstat = |flags: &'static str| spent(&|| others::said(others::pidstat(flags, pids, SECONDS)));
    let what = format!("CPU for {} PIDs, once a second for {SECONDS} s", pids.len());
    match (pidstat("-urdwv"), pidstat("-u")) {
        (Some(all), Some(cpu)) => {
            let ratio = ours / all;
            let shown = format!(
                "{:.1} ms: {ratio:.3} of pidstat -urdwv ({:.1} ms)",
                ours * 1e3,
                all * 1e3
            );
            table.row(&what, "1/10 of pidstat", &shown, ratio <= 0.1);
            table.beside(
                "- pidstat -u, which has CPU only",
                &format!("{:.1} ms: {:.3}", cpu * 1e3, ours / cpu),
            );
        }
        _ => table.beside(&what, &format!("{:.1} ms; pidstat is not installed", ours * 1e3)),
    }
    let psutil = spent(&|| others::said(others::psutil(pids, SECONDS)));
    let shown = psutil.map_or("not installed".to_owned(), |s| format!("{:.1} ms", s * 1e3));
    table.beside("- a psutil script with the same figures", &shown);
    Ok(())
}

/// A thousand processes ten times a second.
fn thousand(table: &mut Table) -> anyhow::Result<()> {
    let crowd = Crowd::gather(1000)?;
    let watch = Watch::begin(crowd.pids(), 100)?;
    std::thread::sleep(Duration::from_secs(SECONDS));
    let (samples, sampled) = watch.end();
    let percent = sampled.cpu_ns as f64 / SECONDS as f64 / 1e7;
    let shown = format!("{percent:.2} %, {} samples", samples.len());
    table.row("1,000 PIDs at 10 Hz", "< 15 % of a core", &shown, percent < 15.0);
    let missed = sampled.missed_ticks;
    table.row(
        "- ticks missed",
        "none on an idle host",
        &missed.to_string(),
        missed == 0,
    );
    Ok(())
}
