//! The resource breakdown by platform: the four views of CPU time, the rows that add up to the host, and memory by every measure.

use std::collections::BTreeSet;

use super::analysis::CellResult;
use super::format::Table;
use super::load::{RunData, Trial};
use super::metric::MIB;
use super::services::spread;
use crate::stats::breakdown::{CpuBreakdown, HostCpu, Owner, ResourceBreakdown, ServiceMemory, SubjectCounters};

/// The tables of the cells of one workload and load.
pub(super) fn tables(data: &RunData, cells: &[&CellResult]) -> Vec<Table> {
    let columns: Vec<Vec<&Trial>> = cells.iter().map(|cell| data.of(&cell.cell).collect()).collect();
    let head = |first: &str| {
        let platforms = cells.iter().map(|cell| cell.cell.platform.to_string());
        std::iter::once(first.to_owned()).chain(platforms).collect()
    };
    let tables = [
        Table {
            title: "CPU breakdown".to_owned(),
            note: CPU_NOTE.to_owned(),
            head: head("% of a core"),
            rows: cpu_rows(&columns),
        },
        Table {
            title: "Memory breakdown".to_owned(),
            note: MEMORY_NOTE.to_owned(),
            head: head("MiB"),
            rows: memory_rows(&columns),
        },
        Table {
            title: "Other counters".to_owned(),
            note: "Of the services on the platform or of the whole host, in the measurement window.".to_owned(),
            head: head("per second, or mean"),
            rows: other_rows(&columns),
        },
    ];
    tables.into_iter().filter(|table| !table.rows.is_empty()).collect()
}

const CPU_NOTE: &str = "Mean ± SD over trials, in the measurement window. Service view: the cgroup of each service; for a guest, \
    everything that runs it. Process view: pidstat for the same PIDs, in whole clock ticks and without children. Platform view: the \
    platform's overhead, inside and outside the services' cgroups. The rows below do not overlap and should add up to the whole host, the time \
    in which its CPUs were neither idle nor stolen. The kernel counts busy time by clock ticks, and a late tick counts as one; time \
    that no tick has counted is listed. Interrupts are included in the rows that they hit, unless they have a row of their own.";

const MEMORY_NOTE: &str = "Mean ± SD over trials. Resident memory (RSS) counts a shared page in full in every process, proportional \
    memory (PSS) counts each process's share. The charge of a cgroup contains page cache and kernel memory; the working set excludes inactive page \
    cache, and so does docker stats, which is read once, at the end. None of them contains the engine, which serves all containers: \
    with a single service, its memory can be most of what a platform needs.";

/// A figure of a trial.
type Value<'a> = &'a dyn Fn(&ResourceBreakdown, &Trial) -> Option<f64>;

/// A row with one cell per platform; `None`: no trial has the figure.
fn row(title: &str, columns: &[Vec<&Trial>], value: Value<'_>) -> Option<Vec<String>> {
    let values = |trials: &Vec<&Trial>| -> Vec<f64> {
        let of = |trial: &&Trial| value(trial.record.breakdown.as_ref()?, trial);
        trials.iter().filter_map(of).collect()
    };
    let columns: Vec<Vec<f64>> = columns.iter().map(values).collect();
    let known = columns.iter().any(|values| !values.is_empty());
    known.then(|| {
        let cells = columns.iter().map(|values| spread(values));
        std::iter::once(title.to_owned()).chain(cells).collect()
    })
}

fn cpu_rows(columns: &[Vec<&Trial>]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut push = |title: &str, value: Value<'_>| rows.extend(row(title, columns, value));
    let host = |of: fn(&HostCpu) -> f64| move |cpu: &ResourceBreakdown, _: &Trial| cpu.cpu.host.as_ref().map(of);
    push("Service view (cgroup)", &|breakdown, _| {
        Some(breakdown.cpu.services_percent)
    });
    push("Process view (pidstat)", &|breakdown, _| breakdown.cpu.pidstat_percent);
    push("Platform view (overhead)", &|breakdown, _| {
        Some(breakdown.cpu.platform_percent)
    });
    push(
        "Host view (busy, less the idle host before the trial)",
        &|breakdown, _| {
            let host = breakdown.cpu.host.as_ref()?;
            Some(host.busy_percent - host.idle_percent?)
        },
    );
    push("services", &|breakdown, _| Some(breakdown.cpu.owned_by(Owner::Service)));
    push("   as reported by the guests, READY to STOP", &|breakdown, _| {
        breakdown.cpu.guest_reported_percent
    });
    for part in platform_parts(columns) {
        push(&format!("+ {part}"), &|breakdown, _| {
            part_percent(&breakdown.cpu, &part)
        });
    }
    push("+ auxiliary services", &|breakdown, _| {
        Some(breakdown.cpu.owned_by(Owner::Auxiliary)).filter(|&percent| percent > 0.0)
    });
    push("+ runner, including sampler", &|breakdown, _| {
        Some(breakdown.cpu.owned_by(Owner::Runner))
    });
    push("   of which the sampler, READY to STOP", &|_, trial| {
        sampler_percent(trial)
    });
    for (title, part) in [("+ kernel threads", "kernel"), ("+ other programs", "programs")] {
        push(title, &|breakdown, _| {
            let row = breakdown
                .cpu
                .rows
                .iter()
                .find(|row| row.owner == Owner::Other && row.part == part)?;
            Some(row.percent)
        });
    }
    push("+ interrupts, accounted for separately", &|breakdown, _| {
        let host = breakdown
            .cpu
            .host
            .as_ref()
            .filter(|host| host.irq_apart == Some(true))?;
        Some(host.irq_percent + host.softirq_percent)
    });
    push("= sum", &host(|host| host.accounted_percent));
    push("Whole host, in use", &host(HostCpu::used_percent));
    push(
        "   busy, by clock ticks (as other tools show it)",
        &host(|host| host.busy_percent),
    );
    push("   not counted by any tick (busy or idle)", &|breakdown, _| {
        breakdown.cpu.host.as_ref()?.unticked_percent
    });
    push(
        "   of which interrupts, by clock ticks",
        &host(|host| host.irq_percent + host.softirq_percent),
    );
    push("   of which in guests", &|breakdown, _| {
        Some(breakdown.cpu.host.as_ref()?.guest_percent).filter(|&percent| percent > 0.0)
    });
    push("Remainder", &host(|host| host.remainder_percent));
    push("Remainder, % of the whole host", &|breakdown, _| {
        let host = breakdown.cpu.host.as_ref().filter(|host| host.used_percent() > 0.0)?;
        Some(host.remainder_percent / host.used_percent() * 100.0)
    });
    push("Idle host before the trial", &|breakdown, _| {
        breakdown.cpu.host.as_ref()?.idle_percent
    });
    push("Stolen by the hypervisor", &host(|host| host.steal_percent));
    rows
}

/// The parts of the platforms in any trial.
fn platform_parts(columns: &[Vec<&Trial>]) -> BTreeSet<String> {
    let breakdowns = columns
        .iter()
        .flatten()
        .filter_map(|trial| trial.record.breakdown.as_ref());
    let rows = breakdowns.flat_map(|breakdown| &breakdown.cpu.rows);
    rows.filter(|row| row.owner == Owner::Platform)
        .map(|row| row.part.clone())
        .collect()
}

fn part_percent(cpu: &CpuBreakdown, part: &str) -> Option<f64> {
    let own = cpu
        .rows
        .iter()
        .filter(|row| row.owner == Owner::Platform && row.part == part);
    let values: Vec<f64> = own.map(|row| row.percent).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

/// CPU usage of the sampler's thread over the time that its samples span.
fn sampler_percent(trial: &Trial) -> Option<f64> {
    let summary = trial.record.summary.as_ref()?;
    let times = || trial.samples.iter().map(|sample| sample.offset_ns);
    let span = times().max()?.saturating_sub(times().min()?);
    (span > 0).then(|| summary.sampler_cpu_ns as f64 / span as f64 * 100.0)
}

/// A memory figure of a service.
type Bytes = fn(&ServiceMemory) -> Option<f64>;

fn memory_rows(columns: &[Vec<&Trial>]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut push = |title: &str, value: Value<'_>| rows.extend(row(title, columns, value));
    let of: [(&str, Bytes); 19] = [
        ("Services: resident (RSS)", |memory| memory.rss_bytes),
        ("   peak RSS", |memory| memory.peak_rss_bytes),
        ("Services: proportional (PSS), at READY", |memory| {
            memory.pss_ready_bytes
        }),
        ("Services: proportional (PSS), at the window's beginning", |memory| {
            memory.pss_start_bytes
        }),
        ("Services: proportional (PSS), at the window's end", |memory| {
            memory.pss_end_bytes
        }),
        ("Services: proportional (PSS), at STOP", |memory| memory.pss_stop_bytes),
        ("   anonymous", |memory| memory.pss_anon_bytes),
        ("   file-backed", |memory| memory.pss_file_bytes),
        ("   shared memory", |memory| memory.pss_shmem_bytes),
        ("   private", |memory| memory.private_bytes),
        ("   hugetlb (not in PSS)", |memory| {
            memory.hugetlb_bytes.filter(|&bytes| bytes > 0.0)
        }),
        ("Services: charged to the cgroup", |memory| memory.charged_bytes),
        ("   peak charge", |memory| memory.charged_peak_bytes),
        ("   anonymous", |memory| memory.anon_bytes),
        ("   page cache", |memory| memory.file_bytes),
        ("   kernel", |memory| memory.kernel_bytes),
        ("   sockets", |memory| memory.sock_bytes),
        ("   working set (cAdvisor)", |memory| memory.working_set_bytes),
        ("docker stats", |memory| memory.docker_stats_bytes),
    ];
    for (title, value) in of {
        push(title, &|breakdown, trial| services(breakdown, trial, value));
    }
    push("Guests: configured memory (-m)", &|breakdown, trial| {
        services(breakdown, trial, |memory| memory.guest_bytes)
    });
    push("   in use, as reported by the guest", &|breakdown, trial| {
        services(breakdown, trial, |memory| memory.guest_used_bytes)
    });
    let names: BTreeSet<String> = columns
        .iter()
        .flatten()
        .filter_map(|trial| trial.record.breakdown.as_ref())
        .flat_map(|breakdown| breakdown.memory.platform.iter().map(|part| part.part.clone()))
        .filter(|part| part != "runner")
        .collect();
    for name in &names {
        push(&format!("Platform: {name}, RSS"), &|breakdown, _| {
            platform(breakdown, |part| part == name)
        });
    }
    push("Services and platform, RSS", &|breakdown, trial| {
        let platform = platform(breakdown, |part| part != "runner").unwrap_or(0.0);
        services(breakdown, trial, |memory| memory.rss_bytes).map(|services| services + platform)
    });
    push("Runner, RSS", &|breakdown, _| {
        platform(breakdown, |part| part == "runner")
    });
    push("Whole host, in use", &|breakdown, _| {
        breakdown.memory.host_used_bytes.map(|bytes| bytes / MIB)
    });
    rows
}

/// The sum over the services on the platform, MiB; `None`: no service has the figure.
fn services(breakdown: &ResourceBreakdown, trial: &Trial, value: fn(&ServiceMemory) -> Option<f64>) -> Option<f64> {
    let own = breakdown.memory.services.iter();
    let own = own.filter(|memory| !trial.record.auxiliary.contains(&memory.service));
    let values: Vec<f64> = own.filter_map(value).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / MIB)
}

/// The resident memory of the selected parts of the platform, MiB; `None`: there are none.
fn platform(breakdown: &ResourceBreakdown, is_selected: impl Fn(&str) -> bool) -> Option<f64> {
    let own = breakdown.memory.platform.iter().filter(|part| is_selected(&part.part));
    let values: Vec<f64> = own.filter_map(|part| part.rss_bytes).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / MIB)
}

fn other_rows(columns: &[Vec<&Trial>]) -> Vec<Vec<String>> {
    /// Title, kind of subject, counter, and the factor that converts it to the unit of the title.
    const RATES: [(&str, &str, &str, f64); 16] = [
        ("Waiting for a CPU, ms", "processes", "wait_ns", 1e-6),
        ("Throttled by a CPU quota, ms", "cgroup", "throttled_ns", 1e-6),
        ("Context switches, voluntary", "processes", "voluntary_switches", 1.0),
        (
            "Context switches, involuntary",
            "processes",
            "involuntary_switches",
            1.0,
        ),
        ("Page faults, minor", "processes", "minor_faults", 1.0),
        ("Page faults, major", "processes", "major_faults", 1.0),
        ("Disk reads, KiB", "processes", "read_bytes", 1.0 / 1024.0),
        ("Disk writes, KiB", "processes", "written_bytes", 1.0 / 1024.0),
        (
            "Service's interface: received, KiB",
            "link",
            "received_bytes",
            1.0 / 1024.0,
        ),
        ("Service's interface: sent, KiB", "link", "sent_bytes", 1.0 / 1024.0),
        ("Service's interface: receive drops", "link", "receive_drops", 1.0),
        ("Service's interface: send drops", "link", "send_drops", 1.0),
        ("Host: context switches", "host", "switches", 1.0),
        (
            "Host: soft interrupts for received packets",
            "host",
            "net_rx_softirqs",
            1.0,
        ),
        ("Host: CPU pressure, some (PSI), ms", "host", "cpu_some_us", 1e-3),
        ("Host: energy, W", "energy", "energy_uj", 1e-6),
    ];
    const GAUGES: [(&str, &str, &str); 3] = [
        ("Open files", "processes", "fds"),
        ("Threads", "processes", "threads"),
        ("Host: dirty page cache, bytes", "host", "dirty_bytes"),
    ];
    let mut rows = Vec::new();
    for (title, of, counter, factor) in RATES {
        rows.extend(row(title, columns, &|breakdown, trial| {
            sum(breakdown, trial, of, |subject| subject.per_second.get(counter).copied()).map(|value| value * factor)
        }));
    }
    for (title, of, counter) in GAUGES {
        rows.extend(row(title, columns, &|breakdown, trial| {
            sum(breakdown, trial, of, |subject| subject.mean.get(counter).copied())
        }));
    }
    rows
}

/// The sum over the subjects of a kind: the services on the platform, or the host; for energy, whole packages only.
fn sum(
    breakdown: &ResourceBreakdown,
    trial: &Trial,
    of: &str,
    value: impl Fn(&SubjectCounters) -> Option<f64>,
) -> Option<f64> {
    let is_included = |subject: &&SubjectCounters| match (subject.of.as_str(), &subject.service) {
        ("host", _) => true,
        ("energy", _) => !subject.name.contains('/'),
        (_, Some(service)) => !trial.record.auxiliary.contains(service),
        (_, None) => false,
    };
    let own = breakdown
        .counters
        .iter()
        .filter(|subject| subject.of == of)
        .filter(is_included);
    let values: Vec<f64> = own.filter_map(value).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}
