//! The CPU cost of a sample, compared with other tools on the same processes at the same rate.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use protocol::Name;
use protocol::sample::{Sample, Subject};
use runner::clock;
use runner::sampler::reader::Depth;
use runner::sampler::round::Rounds;
use runner::sampler::{Service, Targets};

use super::burn::Watch;
use super::others;
use super::table::Table;

/// The number of processes.
const CROWD: usize = 400;
const SECONDS: u64 = 20;
/// How often awake processes run. Each has run since it was last sampled.
const WAKE_MS: u64 = 400;

/// Processes that do almost nothing; killed when this is dropped.
struct Crowd(Vec<Child>);

impl Crowd {
    /// Processes that sleep.
    fn asleep(count: usize) -> anyhow::Result<Self> {
        Self::spawn(count, || {
            let mut command = Command::new("sleep");
            command.arg("600");
            Ok(command)
        })
    }

    /// Processes that run for a moment every now and then.
    fn awake(count: usize) -> anyhow::Result<Self> {
        Self::spawn(count, || {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["child-wake", &WAKE_MS.to_string()]);
            Ok(command)
        })
    }

    fn spawn(count: usize, command: impl Fn() -> anyhow::Result<Command>) -> anyhow::Result<Self> {
        let mut crowd = Self(Vec::new());
        for _ in 0..count {
            crowd.0.push(command()?.stdin(Stdio::null()).spawn()?);
        }
        // Until all are idle.
        std::thread::sleep(Duration::from_millis(2 * WAKE_MS));
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

/// All parts.
pub fn run(table: &mut Table) -> anyhow::Result<()> {
    let alone = Cost::of(&[])?;
    let asleep = Crowd::asleep(CROWD)?;
    let of_asleep = Cost::of(&asleep.pids())?;
    drop(asleep);
    let awake = Crowd::awake(CROWD)?;
    rounds(table, &alone, &of_asleep, &Cost::of(&awake.pids())?);
    bare(table, &awake.pids())?;
    against_others(table, &awake.pids())?;
    drop(awake);
    thousand(table)
}

/// The mean CPU time of a round, ms.
struct Cost {
    quick_ms: f64,
    full_ms: f64,
    edge_ms: f64,
}

impl Cost {
    fn of(pids: &[u32]) -> anyhow::Result<Self> {
        let name: Name = "bench".parse()?;
        let targets = Targets {
            services: vec![Service::new(name, pids.to_vec())],
            ..Targets::default()
        };
        let mut rounds = Rounds::new(
            "/proc".into(),
            std::path::Path::new("/sys"),
            runner::facts::page_bytes(),
        );
        rounds.sample(&targets, Depth::Full, || 0);
        let mut cost = |repeats: u32, round: &mut dyn FnMut(&mut Rounds)| {
            let mut spent = 0;
            for _ in 0..repeats {
                // The awake processes run in between.
                std::thread::sleep(Duration::from_millis(WAKE_MS + WAKE_MS / 4));
                let before = clock::thread_cpu_ns();
                round(&mut rounds);
                spent += clock::thread_cpu_ns() - before;
            }
            spent as f64 / f64::from(repeats) / 1e6
        };
        Ok(Self {
            quick_ms: cost(10, &mut |rounds| {
                drop(rounds.sample(&targets, Depth::Quick, clock::now_ns));
            }),
            full_ms: cost(10, &mut |rounds| {
                drop(rounds.sample(&targets, Depth::Full, clock::now_ns));
            }),
            edge_ms: cost(3, &mut |rounds| {
                drop(rounds.begin_walk(&targets, clock::now_ns));
                while rounds.has_to_walk() {
                    drop(rounds.walk(clock::now_ns));
                }
            }),
        })
    }
}

/// The cost of a round by depth.
fn rounds(table: &mut Table, alone: &Cost, asleep: &Cost, awake: &Cost) {
    let a_pid = |ms: f64| ms * 1000.0 / CROWD as f64;
    for (what, ms) in [
        ("one quick sample (CPU, memory)", awake.quick_ms),
        ("one full sample (all counters, and the host)", awake.full_ms),
    ] {
        let us = a_pid(ms);
        table.row(what, "< 20 us per PID", &format!("{us:.2} us"), us < 20.0);
    }
    let shown = format!("{:.2} us", a_pid(asleep.full_ms));
    table.note("- of processes that have not run since the last sample", &shown);
    let shown = format!(
        "quick {:.0} us, full {:.0} us",
        alone.quick_ms * 1e3,
        alone.full_ms * 1e3
    );
    table.note(
        "- a round without PIDs: the runner, the host, its other processes",
        &shown,
    );
    let shown = format!("{:.1} us", a_pid(awake.edge_ms));
    table.note("- an edge of the window: a full sample and page tables (PSS)", &shown);
}

/// The kernel's share of a full sample: the files are open, read in place and not parsed.
fn bare(table: &Table, pids: &[u32]) -> anyhow::Result<()> {
    const REPEATS: u32 = 10;
    let mut files = Vec::new();
    for pid in pids {
        for file in [
            "stat".to_owned(),
            "statm".to_owned(),
            "io".to_owned(),
            format!("task/{pid}/schedstat"),
            format!("task/{pid}/status"),
        ] {
            files.push(File::open(format!("/proc/{pid}/{file}"))?);
        }
    }
    let mut buffer = [0; 4096];
    let mut read = || -> anyhow::Result<u64> {
        let before = clock::thread_cpu_ns();
        for file in &files {
            file.read_at(&mut buffer, 0)?;
        }
        Ok(clock::thread_cpu_ns() - before)
    };
    let (mut after_a_while, mut at_once) = (0, 0);
    for _ in 0..REPEATS {
        std::thread::sleep(Duration::from_millis(WAKE_MS + WAKE_MS / 4));
        after_a_while += read()?;
        at_once += read()?;
    }
    let a_pid = |ns: u64| ns as f64 / 1000.0 / f64::from(REPEATS) / pids.len() as f64;
    let shown = format!(
        "{:.2} us; when read again immediately {:.2} us",
        a_pid(after_a_while),
        a_pid(at_once)
    );
    table.note(
        "- the kernel's share of a full sample: five open files per PID, read and not parsed",
        &shown,
    );
    Ok(())
}

/// The same processes once a second, compared with other tools.
fn against_others(table: &mut Table, pids: &[u32]) -> anyhow::Result<()> {
    let watch = Watch::begin(pids.to_vec(), 1000)?;
    std::thread::sleep(Duration::from_secs(SECONDS));
    let (samples, sampled) = watch.end();
    let ours = (sampled.cpu_ns - sampled.ends_cpu_ns) as f64 / 1e9;
    let is_full = |sample: &&Sample| matches!(sample.of, Subject::Host(_));
    let full = samples.iter().filter(is_full).count().saturating_sub(2);
    let json_s = encoding_s(&samples)?;
    let spent = |tool: &dyn Fn() -> Option<String>| {
        let before = others::children_s();
        tool().map(|_| others::children_s() - before)
    };
    let pidstat = |flags: &'static str| spent(&|| others::output(others::pidstat(flags, pids, SECONDS)));
    let what = format!("CPU for {} awake PIDs, once a second for {SECONDS} s", pids.len());
    let in_depth = format!("CPU and memory each second, all counters in {full} of them (at most 1/1000 of a CPU)");
    match (pidstat("-urdwv"), pidstat("-u")) {
        (Some(all), Some(cpu)) => {
            let ratio = ours / all;
            let shown = format!(
                "{:.1} ms: {ratio:.3} of pidstat -urdwv ({:.1} ms); {in_depth}",
                ours * 1e3,
                all * 1e3
            );
            table.row(&what, "1/10 of pidstat", &shown, ratio <= 0.1);
            table.note(
                "- pidstat -u, CPU only",
                &format!("{:.1} ms: {:.3}", cpu * 1e3, ours / cpu),
            );
        }
        _ => table.note(
            &what,
            &format!("{:.1} ms; pidstat is not installed; {in_depth}", ours * 1e3),
        ),
    }
    let ends = sampled.ends_cpu_ns as f64 / 1e6;
    table.note(
        "- in addition, once: opening all files, all counters and page tables (PSS) at READY and at STOP",
        &format!("{ends:.1} ms"),
    );
    table.note(
        "- in addition, in other threads of the runner: encoding these samples as JSON",
        &format!("{:.1} ms", json_s * 1e3),
    );
    let psutil = spent(&|| others::output(others::psutil(pids, SECONDS)));
    let shown = psutil.map_or("not installed".to_owned(), |s| format!("{:.1} ms", s * 1e3));
    table.note("- a psutil script with the same figures", &shown);
    Ok(())
}

/// CPU time of encoding samples as they are sent, s.
fn encoding_s(samples: &[Sample]) -> anyhow::Result<f64> {
    let before = clock::thread_cpu_ns();
    for batch in samples.chunks(CROWD) {
        serde_json::to_writer(std::io::sink(), batch)?;
    }
    Ok((clock::thread_cpu_ns() - before) as f64 / 1e9)
}

/// A thousand processes ten times a second, with two edges of a window.
fn thousand(table: &mut Table) -> anyhow::Result<()> {
    let crowd = Crowd::awake(1000)?;
    let watch = Watch::begin(crowd.pids(), 100)?;
    for seconds in [1, SECONDS - 2, 1] {
        std::thread::sleep(Duration::from_secs(seconds));
        watch.edge();
    }
    let (samples, sampled) = watch.end();
    let steady = (sampled.cpu_ns - sampled.ends_cpu_ns) as f64;
    let percent = steady / SECONDS as f64 / 1e7;
    let whole = sampled.cpu_ns as f64 / SECONDS as f64 / 1e7;
    let shown = format!(
        "{percent:.2} %, with READY and STOP {whole:.2} %; {} samples",
        samples.len()
    );
    table.row("1,000 PIDs at 10 Hz", "< 15 % of a core", &shown, whole < 15.0);
    let missed = sampled.missed_ticks;
    table.row(
        "- ticks missed",
        "none on an idle host",
        &format!("{missed} of {}", SECONDS * 10),
        missed == 0,
    );
    Ok(())
}
