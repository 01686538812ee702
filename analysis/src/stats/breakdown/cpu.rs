//! The breakdown of CPU time: rows that do not overlap, and the host total that they add up to.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Name;
use protocol::sample::{Counter, PlatformProcess, QemuThreads, Role, Subject, WholeHost};
use protocol::summary::HostUsage;
use serde::{Deserialize, Serialize};

use super::builder::Builder;
use crate::stats::process_group::ProcessGroup;
use crate::stats::recording::TimeSeries;
use crate::stats::usage;

/// CPU time in the window, % of one CPU throughout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuBreakdown {
    /// The rows; they do not overlap.
    pub rows: Vec<CpuRow>,
    /// Service view: the cgroups of the services, or their process trees; for a guest, everything that runs it.
    pub services_percent: f64,
    /// Process view: pidstat for the PIDs of the services, in whole clock ticks; `None`: too few full samples.
    pub pidstat_percent: Option<f64>,
    /// Platform view: the rows of the platform, inside and outside the services' cgroups.
    pub platform_percent: f64,
    /// CPU usage reported by the guests themselves, READY to STOP; `None`: no guest reports it (OSv's REST API).
    #[serde(default, rename = "guests_say_percent")]
    pub guest_reported_percent: Option<f64>,
    /// Host view; `None`: the host was not sampled over the window.
    pub host: Option<HostCpu>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuRow {
    /// The owner.
    #[serde(rename = "group")]
    pub owner: Owner,
    /// The part: `service`, `vcpu`, `emulator`, `dockerd`, `kernel`, ...
    pub part: String,
    /// The service that it is or works for; `None`: all.
    pub service: Option<Name>,
    /// CPU usage, % of one CPU.
    pub percent: f64,
}

/// The owner of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// A service on the platform.
    Service,
    /// The platform.
    Platform,
    /// An auxiliary service: a process of the host whatever the platform.
    #[serde(rename = "beside")]
    Auxiliary,
    /// The runner, including its sampler.
    Runner,
    /// All other processes.
    #[serde(rename = "rest")]
    Other,
}

/// The whole host, all CPUs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostCpu {
    /// All time but idle, iowait and steal, as counted by clock ticks.
    pub busy_percent: f64,
    /// Time during which the CPUs ran any task, by the scheduler's clock, like the rows; `None`: the kernel does not report it.
    #[serde(default)]
    pub tasks_percent: Option<f64>,
    /// Time of the CPUs that no column of `/proc/stat` contains, because a late tick counts as one; it was either busy or idle.
    /// `None`: the number of CPUs is unknown.
    #[serde(default)]
    pub unticked_percent: Option<f64>,
    /// The part of the busy time in hard interrupts.
    pub irq_percent: f64,
    /// The part of it in soft interrupts, including the network's.
    pub softirq_percent: f64,
    /// The part of it in guests.
    pub guest_percent: f64,
    /// Time stolen by the hypervisor below; not part of the busy time.
    pub steal_percent: f64,
    /// CPU usage of the host just before the services were started; `None`: not measured.
    pub idle_percent: Option<f64>,
    /// Whether the kernel accounts for interrupts separately from the tasks they interrupt; `None`: unknown, assumed not.
    pub irq_apart: Option<bool>,
    /// The sum of all rows, plus interrupts if they are accounted for separately.
    pub accounted_percent: f64,
    /// [`HostCpu::used_percent`] less that sum.
    pub remainder_percent: f64,
}

impl HostCpu {
    /// CPU usage of the host. Without the scheduler's clock: all time that was neither idle nor stolen, which is an
    /// upper bound.
    #[must_use]
    pub fn used_percent(&self) -> f64 {
        match self.tasks_percent {
            Some(tasks) if self.irq_apart == Some(true) => tasks + self.irq_percent + self.softirq_percent,
            Some(tasks) => tasks,
            None => self.busy_percent + self.unticked_percent.unwrap_or(0.0),
        }
    }
}

impl CpuBreakdown {
    /// The sum of an owner's rows.
    #[must_use]
    pub fn owned_by(&self, owner: Owner) -> f64 {
        let rows = self.rows.iter().filter(|row| row.owner == owner);
        // An empty sum is -0.
        rows.map(|row| row.percent).sum::<f64>() + 0.0
    }
}

pub(super) fn cpu(builder: &Builder<'_>) -> CpuBreakdown {
    let mut breakdown = CpuBreakdown::default();
    let mut pidstat = None;
    for used in usage::services(builder.recording, &builder.scope.window) {
        let name = &used.service;
        // Relative to the window, even if the samples do not span all of it.
        let total = used.cpu_total_percent * used.coverage;
        let is_auxiliary = builder.scope.auxiliary.contains(name);
        let mut own = total;
        for (role, percent) in thread_roles(builder, name)
            .into_iter()
            .filter(|(role, _)| *role != Role::Vcpu)
        {
            own -= percent;
            breakdown.push(Owner::Platform, role.as_str(), Some(name), percent);
        }
        let owner = if is_auxiliary { Owner::Auxiliary } else { Owner::Service };
        breakdown.push(owner, "service", Some(name), own.max(0.0));
        if !is_auxiliary {
            breakdown.services_percent += total;
            let processes = usage::processes(builder.recording, name, &builder.scope.window);
            let seen = processes.pidstat_percent(builder.from(), builder.to());
            pidstat = pidstat.or(Some(0.0)).zip(seen).map(|(sum, percent)| sum + percent);
        }
    }
    breakdown.pidstat_percent = pidstat;
    breakdown.guest_reported_percent = guest_reported(builder);
    for ((part, service), percent) in platform_parts(builder) {
        breakdown.push(Owner::Platform, part.as_str(), service.as_ref(), percent);
    }
    breakdown.push(Owner::Runner, "runner", None, runner(builder));
    for (subject, samples) in builder.recording.subjects() {
        if let Subject::OtherProcesses(rest) = subject {
            let ticks = [Counter::UserTicks, Counter::SystemTicks].map(|counter| TimeSeries::of(samples, counter));
            let grown: f64 = ticks
                .iter()
                .map(|series| series.growth(builder.from(), builder.to(), false))
                .sum();
            let percent = builder.percent(grown * builder.scope.window.tick_ns());
            breakdown.push(Owner::Other, rest.kind.as_str(), None, percent);
        }
    }
    breakdown
        .rows
        .sort_by(|a, b| (a.owner, &a.service, &a.part).cmp(&(b.owner, &b.service, &b.part)));
    breakdown.platform_percent = breakdown.owned_by(Owner::Platform);
    let accounted = breakdown.rows.iter().map(|row| row.percent).sum();
    breakdown.host = host(builder, accounted);
    breakdown
}

impl CpuBreakdown {
    fn push(&mut self, owner: Owner, part: &str, service: Option<&Name>, percent: f64) {
        self.rows.push(CpuRow {
            owner,
            part: part.to_owned(),
            service: service.cloned(),
            percent,
        });
    }
}

/// CPU usage reported by all guests, between the first and the last query of each.
fn guest_reported(builder: &Builder<'_>) -> Option<f64> {
    let guests = builder
        .recording
        .select(|subject| matches!(subject, Subject::Guest(_)).then_some(()));
    let rates = guests.filter_map(|(_, samples)| TimeSeries::of(samples, Counter::CpuNs).rate(0, u64::MAX));
    rates.map(|rate| rate * 100.0).reduce(|all, one| all + one)
}

/// CPU usage of the threads of a guest's QEMU, by role.
fn thread_roles(builder: &Builder<'_>, service: &Name) -> Vec<(Role, f64)> {
    let of = |role| {
        let service = service.clone();
        let series = builder
            .recording
            .series(&Subject::Threads(QemuThreads { service, role }), Counter::CpuNs);
        let percent = builder.percent(series.growth(builder.from(), builder.to(), builder.was_sampling()));
        (!series.is_empty()).then_some((role, percent))
    };
    Role::ALL.into_iter().filter_map(of).collect()
}

const fn of_platform(subject: &Subject) -> Option<&PlatformProcess> {
    match subject {
        Subject::Platform(of) => Some(of),
        _ => None,
    }
}

/// CPU usage of the platform's processes.
fn platform_parts(builder: &Builder<'_>) -> BTreeMap<(Name, Option<Name>), f64> {
    let key = |of: &PlatformProcess| (of.part.clone(), of.service.clone());
    let keys: BTreeSet<_> = builder.recording.select(of_platform).map(|(of, _)| key(of)).collect();
    let used = |wanted: &(Name, Option<Name>)| {
        let own = builder
            .recording
            .select(of_platform)
            .filter(|(of, _)| key(of) == *wanted);
        let processes = ProcessGroup::of(own.map(|(_, samples)| samples), &builder.scope.window);
        builder.percent(processes.cpu_ns(builder.from(), builder.to(), builder.was_sampling()))
    };
    keys.into_iter().map(|key| (key.clone(), used(&key))).collect()
}

/// CPU usage of the runner. Its children are the services, counted elsewhere, so reaped children are excluded.
fn runner(builder: &Builder<'_>) -> f64 {
    let own = builder
        .recording
        .subjects()
        .filter(|(subject, _)| matches!(subject, Subject::Runner(_)));
    let used = own.map(|(_, samples)| {
        TimeSeries::of(samples, Counter::CpuNs).growth(builder.from(), builder.to(), builder.was_sampling())
    });
    builder.percent(used.sum())
}

fn host(builder: &Builder<'_>, rows: f64) -> Option<HostCpu> {
    let series = |counter| builder.recording.series(&Subject::Host(WholeHost {}), counter);
    let (first, last) = series(Counter::UserTicks).span()?;
    if first > builder.from() || last < builder.to() {
        return None;
    }
    let percent = |counter| {
        let ticks = series(counter).growth(builder.from(), builder.to(), false);
        builder.percent(ticks * builder.scope.window.tick_ns())
    };
    let others: f64 = [Counter::IdleTicks, Counter::IowaitTicks, Counter::StealTicks]
        .map(percent)
        .iter()
        .sum();
    let [irq, softirq] = [Counter::IrqTicks, Counter::SoftirqTicks].map(percent);
    let programs: f64 = [Counter::UserTicks, Counter::NiceTicks, Counter::SystemTicks]
        .map(percent)
        .iter()
        .sum();
    let busy = programs + irq + softirq;
    let irq_apart = series(Counter::IrqApart).last().map(|apart| apart > 0.0);
    let accounted = rows + if irq_apart == Some(true) { irq + softirq } else { 0.0 };
    let ran = series(Counter::CpuNs);
    let tasks = (!ran.is_empty()).then(|| builder.percent(ran.growth(builder.from(), builder.to(), false)));
    // A late tick counts as one (kernel/sched/cputime.c), so the columns make up the time of all CPUs only together with this.
    let unticked = series(Counter::Cpus).last().map(|cpus| cpus * 100.0 - busy - others);
    let guests: f64 = [Counter::GuestTicks, Counter::GuestNiceTicks].map(percent).iter().sum();
    let mut host = HostCpu {
        busy_percent: busy,
        tasks_percent: tasks,
        unticked_percent: unticked,
        irq_percent: irq,
        softirq_percent: softirq,
        guest_percent: guests,
        steal_percent: percent(Counter::StealTicks),
        idle_percent: builder.scope.idle.filter(|idle| idle.length_ns > 0).map(|idle| {
            let HostUsage {
                user_ticks,
                system_ticks,
                interrupt_ticks,
                ..
            } = &idle.host;
            let ticks = (user_ticks + system_ticks + interrupt_ticks) as f64;
            ticks * builder.scope.window.tick_ns() / idle.length_ns as f64 * 100.0
        }),
        irq_apart,
        accounted_percent: accounted,
        remainder_percent: 0.0,
    };
    host.remainder_percent = host.used_percent() - accounted;
    Some(host)
}
