//! CPU time of processes that use a known share of a CPU, compared with their own getrusage.

use std::io::Write;
use std::time::Duration;

use deploy::cgroup::{Cgroup, Layout};
use protocol::Name;
use protocol::sample::{Counter, Sample, Subject};
use protocol::spec::Resources;
use runner::clock;
use runner::sampler::{Priority, Sampled, Sampler, SamplerConfig, Service, Targets};

use super::child::Helper;
use super::others;
use super::table::Table;

const SECONDS: u64 = 6;
const GOAL: &str = "within 0.5 % of getrusage";

/// Several shares of a CPU, and a process that forks.
pub fn run(table: &mut Table) -> anyhow::Result<()> {
    let cpus = std::thread::available_parallelism()?.get();
    for percent in [10, 50, 100, 250] {
        let mut helper = Helper::start(&["child-burn", &percent.to_string(), &SECONDS.to_string()])?;
        let times = measure(&mut helper, true)?;
        let threads = off(times.own_ns, times.real_ns);
        let reached = times.real_ns / SECONDS as f64 / 1e7;
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
        let shown = times.cgroup_ns.map_or("none (not root)".to_owned(), |ns| {
            format!("{:+.3} %", off(ns, times.real_ns))
        });
        table.note("- its cgroup", &shown);
        let shown = times.pidstat_s.map_or("not installed".to_owned(), |s| {
            format!("{:+.3} %", off(s * 1e9, times.real_ns))
        });
        table.note("- pidstat -u 1, summed", &shown);
        let shown = times.psutil_s.map_or("not installed".to_owned(), |s| {
            format!("{:+.3} %", off(s * 1e9, times.real_ns))
        });
        table.note("- psutil, from first to last reading", &shown);
    }
    let mut helper = Helper::start(&["child-forks", &SECONDS.to_string()])?;
    let times = measure(&mut helper, false)?;
    let tree = off(times.own_ns + times.reaped_ns, times.real_ns);
    table.row(
        "CPU, a process that forks children of 7 ms: process and reaped children",
        GOAL,
        &format!("{tree:+.3} %"),
        tree.abs() < 0.5,
    );
    match times.cgroup_ns {
        Some(ns) => {
            let off = off(ns, times.real_ns);
            table.row("- its cgroup", GOAL, &format!("{off:+.3} %"), off.abs() < 0.5);
        }
        None => table.note("- its cgroup", "none (not root)"),
    }
    table.note(
        "- the process alone, without its children",
        &format!("{:+.1} %", off(times.own_ns, times.real_ns)),
    );
    Ok(())
}

fn off(measured: f64, real: f64) -> f64 {
    (measured - real) / real * 100.0
}

/// The CPU time of one process by every source.
struct CpuTimes {
    real_ns: f64,
    own_ns: f64,
    reaped_ns: f64,
    cgroup_ns: Option<f64>,
    pidstat_s: Option<f64>,
    psutil_s: Option<f64>,
}

fn measure(helper: &mut Helper, with_others: bool) -> anyhow::Result<CpuTimes> {
    let cgroup = enclose(helper.pid());
    helper.read_line()?;
    let watch = Watch::begin(vec![helper.pid()], 100)?;
    let pids = [helper.pid()];
    let tools = with_others.then(|| {
        (
            others::pidstat("-u", &pids, SECONDS + 2),
            others::psutil(&pids, SECONDS + 2),
        )
    });
    std::thread::sleep(Duration::from_millis(300));
    helper.proceed()?;
    let real_ns = helper.read_line()?.parse()?;
    // The scheduler accounts the last moments at its next tick.
    std::thread::sleep(Duration::from_millis(300));
    let (samples, _) = watch.end();
    let (pidstat, psutil) = tools.map_or((None, None), |(pidstat, psutil)| {
        (others::output(pidstat), others::output(psutil))
    });
    helper.proceed()?;
    drop(cgroup);
    let grown = |is: fn(&Subject) -> bool, counter| grown(&samples, is, counter);
    let of_process = |subject: &Subject| matches!(subject, Subject::Process(_));
    let tick_ns = 1e9 / 100.0;
    let reaped = grown(of_process, Counter::ReapedUserTicks).unwrap_or(0.0)
        + grown(of_process, Counter::ReapedSystemTicks).unwrap_or(0.0);
    Ok(CpuTimes {
        real_ns,
        own_ns: grown(of_process, Counter::CpuNs).unwrap_or(0.0),
        reaped_ns: reaped * tick_ns,
        cgroup_ns: grown(|subject| matches!(subject, Subject::Cgroup(_)), Counter::CpuNs),
        pidstat_s: pidstat.as_deref().and_then(others::cpu_seconds),
        psutil_s: psutil.and_then(|text| text.trim().parse().ok()),
    })
}

/// Puts a process into a cgroup of its own, which is removed when this is dropped.
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

/// The growth of a counter from its first to its last sample; `None`: fewer than two have it.
pub fn grown(samples: &[Sample], is: impl Fn(&Subject) -> bool, counter: Counter) -> Option<f64> {
    let values = samples
        .iter()
        .filter(|sample| is(&sample.of))
        .filter_map(|sample| sample.counters.get(counter));
    let values: Vec<u64> = values.collect();
    let [first, .., last] = values[..] else { return None };
    Some(last.saturating_sub(first) as f64)
}

/// The sampler, configured as in the runner.
pub struct Watch {
    sampler: Sampler,
    batches: tokio::sync::mpsc::UnboundedReceiver<protocol::sample::Samples>,
}

impl Watch {
    /// Starts it on these processes.
    pub fn begin(pids: Vec<u32>, interval_ms: u64) -> anyhow::Result<Self> {
        let name: Name = "bench".parse()?;
        let targets = Targets {
            services: vec![Service::new(name, pids)],
            ..Targets::default()
        };
        Self::of(targets, interval_ms)
    }

    /// Starts it on these targets.
    pub fn of(targets: Targets, interval_ms: u64) -> anyhow::Result<Self> {
        let (out, batches) = tokio::sync::mpsc::unbounded_channel();
        let config = SamplerConfig {
            root: "/proc".into(),
            sys: "/sys".into(),
            page_bytes: runner::facts::page_bytes(),
            interval: Duration::from_millis(interval_ms),
            zero_ns: clock::now_ns(),
            priority: Priority::Normal,
            targets,
        };
        let sampler = Sampler::start(config, out)?;
        Ok(Self { sampler, batches })
    }

    /// An edge of the window.
    pub fn edge(&self) {
        self.sampler.edge();
    }

    /// Ends it and returns all samples.
    pub fn end(mut self) -> (Vec<Sample>, Sampled) {
        let sampled = self.sampler.finish();
        let mut samples = Vec::new();
        while let Ok(batch) = self.batches.try_recv() {
            samples.extend(batch.samples);
        }
        (samples, sampled)
    }
}
