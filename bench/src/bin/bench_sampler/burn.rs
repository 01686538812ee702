//! CPU of processes that burn a known share, against what they say of themselves by getrusage.

use std::io::Write;
use std::time::Duration;

use deploy::cgroup::{Cgroup, Layout};
use protocol::Name;
use protocol::sample::{Counter, Sample, Subject};
use protocol::spec::Resources;
use runner::clock;
use runner::sampler::thread::Order;
use runner::sampler::{Priority, Sampled, Sampler, Service, Targets};

use super::child::Played;
use super::others;
use super::table::Table;

const SECONDS: u64 = 6;
const GOAL: &str = "within 0.5 % of getrusage";

/// All shares, and a tree that forks.
pub fn run(table: &mut Table) -> anyhow::Result<()> {
    let cpus = std::thread::available_parallelism()?.get();
    for percent in [10, 50, 100, 250] {
        let mut played = Played::start(&["play-burn", &percent.to_string(), &SECONDS.to_string()])?;
        let told = measure(&mut played, true)?;
        let threads = off(told.own_ns, told.real_ns);
        let reached = told.real_ns / SECONDS as f64 / 1e7;
        let note = if percent > 100 * cpus {
            format!(", reached {reached:.0} % on {cpus} CPUs")
        } else {
            String::new()
        };
        table.row(
            &format!("CPU, {percent} % of a core{note}"),
            GOAL,
            &format!("{threads:+.3} %"),
            threads.abs() < 0.5,
        );
        let shown = told.cgroup_ns.map_or("none: run it as root".to_owned(), |ns| {
            format!("{:+.3} %", off(ns, told.real_ns))
        });
        table.beside("- its cgroup", &shown);
        let shown = told.pidstat_s.map_or("not installed".to_owned(), |s| {
            format!("{:+.3} %", off(s * 1e9, told.real_ns))
        });
        table.beside("- pidstat -u 1, the sum of its seconds", &shown);
        let shown = told.psutil_s.map_or("not installed".to_owned(), |s| {
            format!("{:+.3} %", off(s * 1e9, told.real_ns))
        });
        table.beside("- psutil, first look to last", &shown);
    }
    let mut played = Played::start(&["play-forks", &SECONDS.to_string()])?;
    let told = measure(&mut played, false)?;
    let tree = off(told.own_ns + told.reaped_ns, told.real_ns);
    table.row(
        "CPU, a tree that forks children of 7 ms: process and reaped children",
        GOAL,
        &format!("{tree:+.3} %"),
        tree.abs() < 0.5,
    );
    match told.cgroup_ns {
        Some(ns) => {
            let off = off(ns, told.real_ns);
            table.row("- its cgroup", GOAL, &format!("{off:+.3} %"), off.abs() < 0.5);
        }
        None => table.beside("- its cgroup", "none may be made: run it as root"),
    }
    table.beside(
        "- the process alone, as a look at one PID sees it",
        &format!("{:+.1} %", off(told.own_ns, told.real_ns)),
    );
    Ok(())
}

fn off(measured: f64, real: f64) -> f64 {
    (measured - real) / real * 100.0
}

/// What everybody says of one process.
struct Told {
    real_ns: f64,
    own_ns: f64,
    reaped_ns: f64,
    cgroup_ns: Option<f64>,
    pidstat_s: Option<f64>,
    psutil_s: Option<f64>,
}

fn measure(played: &mut Played, with_others: bool) -> anyhow::Result<Told> {
    let cgroup = enclose(played.pid());
    played.hear()?;
    let watch = Watch::begin(vec![played.pid()], 100)?;
    let pids = [played.pid()];
    let tools = with_others.then(|| {
        (
            others::pidstat("-u", &pids, SECONDS + 2),
            others::psutil(&pids, SECONDS + 2),
        )
    });
    std::thread::sleep(Duration::from_millis(300));
    played.tell()?;
    let real_ns = played.hear()?.parse()?;
    // What the scheduler has of the last moments it writes down at its next tick.
    std::thread::sleep(Duration::from_millis(300));
    let (samples, _) = watch.end();
    let (pidstat, psutil) = tools.map_or((None, None), |(pidstat, psutil)| {
        (others::said(pidstat), others::said(psutil))
    });
    played.tell()?;
    drop(cgroup);
    let grown = |is: fn(&Subject) -> bool, counter| grown(&samples, is, counter);
    let of_process = |subject: &Subject| matches!(subject, Subject::Process(_));
    let tick_ns = 1e9 / 100.0;
    let reaped = grown(of_process, Counter::ReapedUserTicks).unwrap_or(0.0)
        + grown(of_process, Counter::ReapedSystemTicks).unwrap_or(0.0);
    Ok(Told {
        real_ns,
        own_ns: grown(of_process, Counter::CpuNs).unwrap_or(0.0),
        reaped_ns: reaped * tick_ns,
        cgroup_ns: grown(|subject| matches!(subject, Subject::Cgroup(_)), Counter::CpuNs),
        pidstat_s: pidstat.as_deref().and_then(others::cpu_seconds),
        psutil_s: psutil.and_then(|text| text.trim().parse().ok()),
    })
}

/// Puts a process into a cgroup of its own, which goes when this is dropped.
fn enclose(pid: u32) -> Option<Enclosed> {
    let group = format!("jung-bench-{}", std::process::id());
    let cgroup = Cgroup::create(
        &Layout::of_this_host()?,
        &group,
        &pid.to_string(),
        &Resources::default(),
    )
    .ok()?;
    let enclosed = Enclosed(cgroup);
    for mut file in enclosed.0.procs_files().ok()? {
        file.write_all(pid.to_string().as_bytes()).ok()?;
    }
    Some(enclosed)
}

struct Enclosed(Cgroup);

impl Drop for Enclosed {
    fn drop(&mut self) {
        for pid in self.0.pids() {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap_or(0));
            if pid.as_raw() > 0 {
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            }
        }
        let _ = self.0.remove(Duration::from_secs(2));
    }
}

/// The growth of a counter from its first sample to its last; `None`: fewer than two have it.
pub fn grown(samples: &[Sample], is: impl Fn(&Subject) -> bool, counter: Counter) -> Option<f64> {
    let values = samples
        .iter()
        .filter(|sample| is(&sample.of))
        .filter_map(|sample| sample.counters.get(counter));
    let values: Vec<u64> = values.collect();
    let [first, .., last] = values[..] else { return None };
    Some(last.saturating_sub(first) as f64)
}

/// The sampler as the runner runs it, on these processes.
pub struct Watch {
    sampler: Sampler,
    batches: tokio::sync::mpsc::UnboundedReceiver<protocol::sample::Samples>,
}

impl Watch {
    /// Begins.
    pub fn begin(pids: Vec<u32>, interval_ms: u64) -> anyhow::Result<Self> {
        let name: Name = "bench".parse()?;
        let targets = Targets {
            services: vec![Service::new(name, pids)],
            ..Targets::default()
        };
        Self::of(targets, interval_ms)
    }

    /// Begins with more than one service, or a platform.
    pub fn of(targets: Targets, interval_ms: u64) -> anyhow::Result<Self> {
        let (out, batches) = tokio::sync::mpsc::unbounded_channel();
        let order = Order {
            root: "/proc".into(),
            sys: "/sys".into(),
            page_bytes: runner::facts::page_bytes(),
            interval: Duration::from_millis(interval_ms),
            zero_ns: clock::now_ns(),
            priority: Priority::Normal,
            targets,
        };
        let sampler = Sampler::start(order, out)?;
        Ok(Self { sampler, batches })
    }

    /// An edge of the window.
    pub fn edge(&self) {
        self.sampler.edge();
    }

    /// Ends, with everything that was sampled.
    pub fn end(mut self) -> (Vec<Sample>, Sampled) {
        let sampled = self.sampler.finish();
        let mut samples = Vec::new();
        while let Ok(batch) = self.batches.try_recv() {
            samples.extend(batch.samples);
        }
        (samples, sampled)
    }
}
