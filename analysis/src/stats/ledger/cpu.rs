//! Where the CPU time went: rows that do not overlap, and the host that they must add up to.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Name;
use protocol::sample::{Counter, PlatformProcess, QemuThreads, Role, Subject, WholeHost};
use protocol::summary::HostUsage;
use serde::{Deserialize, Serialize};

use super::Book;
use crate::stats::family::Family;
use crate::stats::recording::Track;
use crate::stats::usage;

/// CPU time in the window, % of one CPU throughout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuLedger {
    /// The rows: nothing is in two of them.
    pub rows: Vec<CpuRow>,
    /// The service view: the services as their cgroups, or process trees, have them; of a guest all of what runs it.
    pub services_percent: f64,
    /// The process view: what pidstat shows for the PIDs of the services, in whole clock ticks; `None`: too few samples have them.
    pub pidstat_percent: Option<f64>,
    /// The platform view: rows of the platform, whether within the services' cgroups or beside them.
    pub platform_percent: f64,
    /// What the systems in guests say that they used, READY to STOP; `None`: none is asked (OSv's REST API).
    #[serde(default)]
    pub guests_say_percent: Option<f64>,
    /// The host view; `None`: it was not sampled over the window.
    pub host: Option<HostCpu>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuRow {
    /// Whose it is.
    pub group: Group,
    /// What it is: `service`, `vcpu`, `emulator`, `dockerd`, `kernel`, ...
    pub part: String,
    /// The service that it is or works for; `None`: all.
    pub service: Option<Name>,
    /// How much.
    pub percent: f64,
}

/// Whose a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// A service's own.
    Service,
    /// The platform's, for the services.
    Platform,
    /// A service that runs beside the platform, whatever it is.
    Beside,
    /// The runner's, its sampler included.
    Runner,
    /// Everybody else's.
    Rest,
}

/// The whole host, all CPUs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostCpu {
    /// Everything but idle, iowait and steal, as the kernel counts it: by the clock ticks that hit it.
    pub busy_percent: f64,
    /// Time in which the CPUs ran any task, by the scheduler's clock, as the rows are; `None`: this kernel does not tell.
    #[serde(default)]
    pub tasks_percent: Option<f64>,
    /// Time of the CPUs that is in none of the kernel's columns, because a tick that comes late still counts as one: in use or idle, nobody knows.
    /// `None`: it is not known how many CPUs there are.
    #[serde(default)]
    pub unticked_percent: Option<f64>,
    /// The part of it in hard interrupts.
    pub irq_percent: f64,
    /// The part of it in soft interrupts, the network's among them.
    pub softirq_percent: f64,
    /// The part of it that guests had.
    pub guest_percent: f64,
    /// Taken by the hypervisor below; not in the busy time.
    pub steal_percent: f64,
    /// How busy the same host was just before the services were started; `None`: not looked at.
    pub idle_percent: Option<f64>,
    /// Whether this kernel keeps interrupts apart from the processes that they interrupt; `None`: not known, taken for no.
    pub irq_apart: Option<bool>,
    /// The sum of all rows, with the interrupts where they are kept apart.
    pub accounted_percent: f64,
    /// [`HostCpu::used_percent`] less that sum.
    pub remainder_percent: f64,
}

impl HostCpu {
    /// All that the CPUs ran. Where the scheduler does not tell: all time in which they were neither idle nor taken by the hypervisor below, which is
    /// that or more.
    #[must_use]
    pub fn used_percent(&self) -> f64 {
        match self.tasks_percent {
            Some(tasks) if self.irq_apart == Some(true) => tasks + self.irq_percent + self.softirq_percent,
            Some(tasks) => tasks,
            None => self.busy_percent + self.unticked_percent.unwrap_or(0.0),
        }
    }
}

impl CpuLedger {
    /// The sum of the rows of a group.
    #[must_use]
    pub fn group(&self, group: Group) -> f64 {
        let rows = self.rows.iter().filter(|row| row.group == group);
        // A sum of nothing is -0.
        rows.map(|row| row.percent).sum::<f64>() + 0.0
    }
}

pub(super) fn cpu(book: &Book<'_>) -> CpuLedger {
    let mut ledger = CpuLedger::default();
    let mut pidstat = None;
    for used in usage::services(book.recording, &book.frame.cut) {
        let name = &used.service;
        // Of the window, where the samples do not span all of it.
        let total = used.cpu_total_percent * used.coverage;
        let is_beside = book.frame.beside.contains(name);
        let mut own = total;
        for (role, percent) in roles(book, name).into_iter().filter(|(role, _)| *role != Role::Vcpu) {
            own -= percent;
            ledger.put(Group::Platform, role.as_str(), Some(name), percent);
        }
        let group = if is_beside { Group::Beside } else { Group::Service };
        ledger.put(group, "service", Some(name), own.max(0.0));
        if !is_beside {
            ledger.services_percent += total;
            let family = usage::family(book.recording, name, &book.frame.cut);
            let seen = family.pidstat_percent(book.from(), book.to());
            pidstat = pidstat.or(Some(0.0)).zip(seen).map(|(sum, percent)| sum + percent);
        }
    }
    ledger.pidstat_percent = pidstat;
    ledger.guests_say_percent = guests_say(book);
    for ((part, service), percent) in parts(book) {
        ledger.put(Group::Platform, part.as_str(), service.as_ref(), percent);
    }
    ledger.put(Group::Runner, "runner", None, runner(book));
    for (subject, samples) in book.recording.subjects() {
        if let Subject::OtherProcesses(rest) = subject {
            let ticks = [Counter::UserTicks, Counter::SystemTicks].map(|counter| Track::of(samples, counter));
            let grown: f64 = ticks
                .iter()
                .map(|track| track.growth(book.from(), book.to(), false))
                .sum();
            let percent = book.percent(grown * book.frame.cut.tick_ns());
            ledger.put(Group::Rest, rest.kind.as_str(), None, percent);
        }
    }
    ledger
        .rows
        .sort_by(|a, b| (a.group, &a.service, &a.part).cmp(&(b.group, &b.service, &b.part)));
    ledger.platform_percent = ledger.group(Group::Platform);
    let accounted = ledger.rows.iter().map(|row| row.percent).sum();
    ledger.host = host(book, accounted);
    ledger
}

impl CpuLedger {
    fn put(&mut self, group: Group, part: &str, service: Option<&Name>, percent: f64) {
        self.rows.push(CpuRow {
            group,
            part: part.to_owned(),
            service: service.cloned(),
            percent,
        });
    }
}

/// All guests together, from the first to the last time that each was asked.
fn guests_say(book: &Book<'_>) -> Option<f64> {
    let guests = book
        .recording
        .only(|subject| matches!(subject, Subject::Guest(_)).then_some(()));
    let rates = guests.filter_map(|(_, samples)| Track::of(samples, Counter::CpuNs).rate(0, u64::MAX));
    rates.map(|rate| rate * 100.0).reduce(|all, one| all + one)
}

/// What the threads of a guest's QEMU used, by what they do.
fn roles(book: &Book<'_>, service: &Name) -> Vec<(Role, f64)> {
    let of = |role| {
        let service = service.clone();
        let track = book
            .recording
            .track(&Subject::Threads(QemuThreads { service, role }), Counter::CpuNs);
        let percent = book.percent(track.growth(book.from(), book.to(), book.watched()));
        (!track.is_empty()).then_some((role, percent))
    };
    Role::ALL.into_iter().filter_map(of).collect()
}

const fn of_platform(subject: &Subject) -> Option<&PlatformProcess> {
    match subject {
        Subject::Platform(of) => Some(of),
        _ => None,
    }
}

/// What the parts of the platform used that are processes of their own.
fn parts(book: &Book<'_>) -> BTreeMap<(Name, Option<Name>), f64> {
    let key = |of: &PlatformProcess| (of.part.clone(), of.service.clone());
    let keys: BTreeSet<_> = book.recording.only(of_platform).map(|(of, _)| key(of)).collect();
    let used = |wanted: &(Name, Option<Name>)| {
        let own = book.recording.only(of_platform).filter(|(of, _)| key(of) == *wanted);
        let family = Family::of(own.map(|(_, samples)| samples), &book.frame.cut);
        book.percent(family.cpu_ns(book.from(), book.to(), book.watched()))
    };
    keys.into_iter().map(|key| (key.clone(), used(&key))).collect()
}

/// What the runner used. Its children are the services and are summed elsewhere, so those that it waits for do not count.
fn runner(book: &Book<'_>) -> f64 {
    let own = book
        .recording
        .subjects()
        .filter(|(subject, _)| matches!(subject, Subject::Runner(_)));
    let used =
        own.map(|(_, samples)| Track::of(samples, Counter::CpuNs).growth(book.from(), book.to(), book.watched()));
    book.percent(used.sum())
}

fn host(book: &Book<'_>, rows: f64) -> Option<HostCpu> {
    let track = |counter| book.recording.track(&Subject::Host(WholeHost {}), counter);
    let (first, last) = track(Counter::UserTicks).span()?;
    if first > book.from() || last < book.to() {
        return None;
    }
    let percent = |counter| {
        let ticks = track(counter).growth(book.from(), book.to(), false);
        book.percent(ticks * book.frame.cut.tick_ns())
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
    let irq_apart = track(Counter::IrqApart).last().map(|apart| apart > 0.0);
    let accounted = rows + if irq_apart == Some(true) { irq + softirq } else { 0.0 };
    let ran = track(Counter::CpuNs);
    let tasks = (!ran.is_empty()).then(|| book.percent(ran.growth(book.from(), book.to(), false)));
    // A tick that comes late counts as one (kernel/sched/cputime.c), so that only together with this the columns make up the time of all CPUs.
    let unticked = track(Counter::Cpus).last().map(|cpus| cpus * 100.0 - busy - others);
    let guests: f64 = [Counter::GuestTicks, Counter::GuestNiceTicks].map(percent).iter().sum();
    let mut host = HostCpu {
        busy_percent: busy,
        tasks_percent: tasks,
        unticked_percent: unticked,
        irq_percent: irq,
        softirq_percent: softirq,
        guest_percent: guests,
        steal_percent: percent(Counter::StealTicks),
        idle_percent: book.frame.idle.filter(|idle| idle.length_ns > 0).map(|idle| {
            let HostUsage {
                user_ticks,
                system_ticks,
                interrupt_ticks,
                ..
            } = &idle.host;
            let ticks = (user_ticks + system_ticks + interrupt_ticks) as f64;
            ticks * book.frame.cut.tick_ns() / idle.length_ns as f64 * 100.0
        }),
        irq_apart,
        accounted_percent: accounted,
        remainder_percent: 0.0,
    };
    host.remainder_percent = host.used_percent() - accounted;
    Some(host)
}
