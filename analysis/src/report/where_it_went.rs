//! Where the CPU went and where the memory is, platform by platform: the four views side by side, and the rows that add up to the host.

use std::collections::BTreeSet;

use super::analysis::CellResult;
use super::by_service::spread;
use super::load::{RunData, Trial};
use super::metric::MIB;
use super::table::Table;
use crate::stats::ledger::{CpuLedger, Group, HostCpu, Ledger, MemoryOf, View};

/// The tables of the cells of one workload under one load.
pub(super) fn tables(data: &RunData, cells: &[&CellResult]) -> Vec<Table> {
    let columns: Vec<Vec<&Trial>> = cells.iter().map(|cell| data.of(&cell.cell).collect()).collect();
    let head = |first: &str| {
        let platforms = cells.iter().map(|cell| cell.cell.platform.to_string());
        std::iter::once(first.to_owned()).chain(platforms).collect()
    };
    let tables = [
        Table {
            title: "Where the CPU went".to_owned(),
            note: CPU_NOTE.to_owned(),
            head: head("% of a core"),
            rows: cpu_rows(&columns),
        },
        Table {
            title: "Where the memory is".to_owned(),
            note: MEMORY_NOTE.to_owned(),
            head: head("MiB"),
            rows: memory_rows(&columns),
        },
        Table {
            title: "What else it did".to_owned(),
            note: "Of the services on the platform, or of the whole host, in the measured window.".to_owned(),
            head: head("a second, or mean"),
            rows: other_rows(&columns),
        },
    ];
    tables.into_iter().filter(|table| !table.rows.is_empty()).collect()
}

const CPU_NOTE: &str = "Mean ± standard deviation over trials, of the measured window. The service view is the cgroup of each service, of a guest \
    all of what runs it; the process view is what pidstat shows for the same PIDs, in whole clock ticks and without children; the platform view is what \
    works for the services beside them, also within their cgroups. The rows below do not overlap. They should add up to the whole host: the time \
    in which its CPUs were neither idle nor stolen. The kernel counts its busy time by clock ticks, of which one that comes late counts as one; what \
    no tick has counted is said. Interrupts are within the rows that they hit, unless they are said to be kept apart.";

const MEMORY_NOTE: &str = "Mean ± standard deviation over trials. Resident memory (RSS) counts a shared page in every process, proportional \
    memory (PSS) counts its share. What is charged to a cgroup contains page cache and the kernel's memory; the working set leaves the page cache out \
    that goes first, and so does docker stats, which looks once, at the end. None of them contains the engine, which is there for all containers \
    together: with one service its memory can be most of what a platform needs.";

/// One figure of a trial.
type Value<'a> = &'a dyn Fn(&Ledger, &Trial) -> Option<f64>;

/// A row with one cell a platform; `None`: no trial has the figure.
fn row(title: &str, columns: &[Vec<&Trial>], value: Value<'_>) -> Option<Vec<String>> {
    let values = |trials: &Vec<&Trial>| -> Vec<f64> {
        let of = |trial: &&Trial| value(trial.record.ledger.as_ref()?, trial);
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
    let mut put = |title: &str, value: Value<'_>| rows.extend(row(title, columns, value));
    let host = |of: fn(&HostCpu) -> f64| move |ledger: &Ledger, _: &Trial| ledger.cpu.host.as_ref().map(of);
    put("Service view (cgroup)", &|ledger, _| Some(ledger.cpu.services_percent));
    put("Process view (pidstat)", &|ledger, _| ledger.cpu.pidstat_percent);
    put("Platform view (overhead)", &|ledger, _| {
        Some(ledger.cpu.platform_percent)
    });
    put("Host view (busy, less the idle host before)", &|ledger, _| {
        let host = ledger.cpu.host.as_ref()?;
        Some(host.busy_percent - host.idle_percent?)
    });
    put("services", &|ledger, _| Some(ledger.cpu.group(Group::Service)));
    put("   as the guests say, READY to STOP", &|ledger, _| {
        ledger.cpu.guests_say_percent
    });
    for part in parts(columns) {
        put(&format!("+ {part}"), &|ledger, _| part_percent(&ledger.cpu, &part));
    }
    put("+ beside the platform", &|ledger, _| {
        Some(ledger.cpu.group(Group::Beside)).filter(|&percent| percent > 0.0)
    });
    put("+ runner with sampler", &|ledger, _| {
        Some(ledger.cpu.group(Group::Runner))
    });
    put("   of which the sampler, READY to STOP", &|_, trial| {
        sampler_percent(trial)
    });
    for (title, part) in [
        ("+ threads of the kernel", "kernel"),
        ("+ other programs of the host", "programs"),
    ] {
        put(title, &|ledger, _| {
            let row = ledger
                .cpu
                .rows
                .iter()
                .find(|row| row.group == Group::Rest && row.part == part)?;
            Some(row.percent)
        });
    }
    put("+ interrupts, kept apart", &|ledger, _| {
        let host = ledger.cpu.host.as_ref().filter(|host| host.irq_apart == Some(true))?;
        Some(host.irq_percent + host.softirq_percent)
    });
    put("= accounted for", &host(|host| host.accounted_percent));
    put("Whole host, in use", &host(HostCpu::used_percent));
    put(
        "   busy by the kernel's ticks, as other tools show it",
        &host(|host| host.busy_percent),
    );
    put("   counted by no tick, in use or idle", &|ledger, _| {
        ledger.cpu.host.as_ref()?.unticked_percent
    });
    put(
        "   of which interrupts, by clock ticks",
        &host(|host| host.irq_percent + host.softirq_percent),
    );
    put("   of which in guests", &|ledger, _| {
        Some(ledger.cpu.host.as_ref()?.guest_percent).filter(|&percent| percent > 0.0)
    });
    put("Remainder", &host(|host| host.remainder_percent));
    put("Remainder, % of that use", &|ledger, _| {
        let host = ledger.cpu.host.as_ref().filter(|host| host.used_percent() > 0.0)?;
        Some(host.remainder_percent / host.used_percent() * 100.0)
    });
    put("Idle host just before", &|ledger, _| {
        ledger.cpu.host.as_ref()?.idle_percent
    });
    put("Stolen by the hypervisor below", &host(|host| host.steal_percent));
    rows
}

/// The parts of the platforms that any trial has.
fn parts(columns: &[Vec<&Trial>]) -> BTreeSet<String> {
    let ledgers = columns
        .iter()
        .flatten()
        .filter_map(|trial| trial.record.ledger.as_ref());
    let rows = ledgers.flat_map(|ledger| &ledger.cpu.rows);
    rows.filter(|row| row.group == Group::Platform)
        .map(|row| row.part.clone())
        .collect()
}

fn part_percent(cpu: &CpuLedger, part: &str) -> Option<f64> {
    let own = cpu
        .rows
        .iter()
        .filter(|row| row.group == Group::Platform && row.part == part);
    let values: Vec<f64> = own.map(|row| row.percent).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

/// What the sampler's own thread used, over the time that its samples span.
fn sampler_percent(trial: &Trial) -> Option<f64> {
    let summary = trial.record.summary.as_ref()?;
    let times = || trial.samples.iter().map(|sample| sample.offset_ns);
    let span = times().max()?.saturating_sub(times().min()?);
    (span > 0).then(|| summary.sampler_cpu_ns as f64 / span as f64 * 100.0)
}

/// One figure of a service's memory.
type Bytes = fn(&MemoryOf) -> Option<f64>;

fn memory_rows(columns: &[Vec<&Trial>]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut put = |title: &str, value: Value<'_>| rows.extend(row(title, columns, value));
    let of: [(&str, Bytes); 19] = [
        ("Services: resident (RSS)", |memory| memory.rss_bytes),
        ("   highest RSS", |memory| memory.peak_rss_bytes),
        ("Services: proportional (PSS), at READY", |memory| {
            memory.pss_ready_bytes
        }),
        ("Services: proportional (PSS), where the window begins", |memory| {
            memory.pss_start_bytes
        }),
        ("Services: proportional (PSS), where it ends", |memory| {
            memory.pss_end_bytes
        }),
        ("Services: proportional (PSS), at STOP", |memory| memory.pss_stop_bytes),
        ("   anonymous", |memory| memory.pss_anon_bytes),
        ("   of files", |memory| memory.pss_file_bytes),
        ("   shared memory", |memory| memory.pss_shmem_bytes),
        ("   of no other process", |memory| memory.private_bytes),
        ("   hugetlb, beside it", |memory| {
            memory.hugetlb_bytes.filter(|&bytes| bytes > 0.0)
        }),
        ("Services: charged to the cgroup", |memory| memory.charged_bytes),
        ("   highest charge", |memory| memory.charged_peak_bytes),
        ("   anonymous", |memory| memory.anon_bytes),
        ("   page cache", |memory| memory.file_bytes),
        ("   kernel", |memory| memory.kernel_bytes),
        ("   sockets", |memory| memory.sock_bytes),
        ("   working set (cAdvisor)", |memory| memory.working_set_bytes),
        ("docker stats", |memory| memory.docker_stats_bytes),
    ];
    for (title, value) in of {
        put(title, &|ledger, trial| services(ledger, trial, value));
    }
    put("Guests: memory given (-m)", &|ledger, trial| {
        services(ledger, trial, |memory| memory.guest_bytes)
    });
    put("   in use, as the guest says", &|ledger, trial| {
        services(ledger, trial, |memory| memory.guest_used_bytes)
    });
    let names: BTreeSet<String> = columns
        .iter()
        .flatten()
        .filter_map(|trial| trial.record.ledger.as_ref())
        .flat_map(|ledger| ledger.memory.platform.iter().map(|part| part.part.clone()))
        .filter(|part| part != "runner")
        .collect();
    for name in &names {
        put(&format!("Platform: {name}, RSS"), &|ledger, _| {
            platform(ledger, |part| part == name)
        });
    }
    put("Services and platform together, RSS", &|ledger, trial| {
        let platform = platform(ledger, |part| part != "runner").unwrap_or(0.0);
        services(ledger, trial, |memory| memory.rss_bytes).map(|services| services + platform)
    });
    put("Runner, RSS", &|ledger, _| platform(ledger, |part| part == "runner"));
    put("Whole host, in use", &|ledger, _| {
        ledger.memory.host_used_bytes.map(|bytes| bytes / MIB)
    });
    rows
}

/// The sum over the services on the platform, MiB; `None`: none has it.
fn services(ledger: &Ledger, trial: &Trial, value: fn(&MemoryOf) -> Option<f64>) -> Option<f64> {
    let own = ledger.memory.services.iter();
    let own = own.filter(|memory| !trial.record.beside.contains(&memory.service));
    let values: Vec<f64> = own.filter_map(value).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / MIB)
}

/// The resident memory of those parts of the platform, MiB; `None`: there are none.
fn platform(ledger: &Ledger, is_wanted: impl Fn(&str) -> bool) -> Option<f64> {
    let own = ledger.memory.platform.iter().filter(|part| is_wanted(&part.part));
    let values: Vec<f64> = own.filter_map(|part| part.rss_bytes).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / MIB)
}

fn other_rows(columns: &[Vec<&Trial>]) -> Vec<Vec<String>> {
    /// Title, kind of view, counter, and the factor that makes it the unit of the title.
    const GROWING: [(&str, &str, &str, f64); 16] = [
        ("Waited for a CPU, ms", "processes", "wait_ns", 1e-6),
        ("Held back by a CPU quota, ms", "cgroup", "throttled_ns", 1e-6),
        ("Context switches, voluntary", "processes", "voluntary_switches", 1.0),
        (
            "Context switches, involuntary",
            "processes",
            "involuntary_switches",
            1.0,
        ),
        ("Page faults, minor", "processes", "minor_faults", 1.0),
        ("Page faults, major", "processes", "major_faults", 1.0),
        ("Read from disks, KiB", "processes", "read_bytes", 1.0 / 1024.0),
        ("Written to disks, KiB", "processes", "written_bytes", 1.0 / 1024.0),
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
        (
            "Host: some task waited for a CPU (PSI), ms",
            "host",
            "cpu_some_us",
            1e-3,
        ),
        ("Host: energy, W", "energy", "energy_uj", 1e-6),
    ];
    const STANDING: [(&str, &str, &str); 3] = [
        ("Processes' open files", "processes", "fds"),
        ("Threads", "processes", "threads"),
        (
            "Host: page cache that waits to be written, bytes",
            "host",
            "dirty_bytes",
        ),
    ];
    let mut rows = Vec::new();
    for (title, of, counter, factor) in GROWING {
        rows.extend(row(title, columns, &|ledger, trial| {
            sum(ledger, trial, of, |view| view.per_second.get(counter).copied()).map(|value| value * factor)
        }));
    }
    for (title, of, counter) in STANDING {
        rows.extend(row(title, columns, &|ledger, trial| {
            sum(ledger, trial, of, |view| view.mean.get(counter).copied())
        }));
    }
    rows
}

/// The sum over the views of a kind: of the services on the platform, or of the host; of energy the whole packages only.
fn sum(ledger: &Ledger, trial: &Trial, of: &str, value: impl Fn(&View) -> Option<f64>) -> Option<f64> {
    let is_ours = |view: &&View| match (view.of.as_str(), &view.service) {
        ("host", _) => true,
        ("energy", _) => !view.name.contains('/'),
        (_, Some(service)) => !trial.record.beside.contains(service),
        (_, None) => false,
    };
    let own = ledger.views.iter().filter(|view| view.of == of).filter(is_ours);
    let values: Vec<f64> = own.filter_map(value).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}
