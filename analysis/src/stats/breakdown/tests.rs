use std::collections::BTreeSet;

use protocol::Name;
use protocol::event::IdleWindow;
use protocol::sample::{
    Counter, Energy, Link, OtherProcessesRef, PlatformProcess, ProcessKind, ProcessRef, QemuThreads, Role, Sample,
    ServiceProcess, ServiceRef, Subject, WholeHost,
};
use protocol::summary::HostUsage;

use super::*;
use crate::stats::recording::SampleWindow;

const S: u64 = 1_000_000_000;
const WINDOW: SampleWindow = SampleWindow {
    start_ns: 2 * S,
    end_ns: 6 * S,
    interval_ns: S,
    ticks_per_s: 100,
};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// One sample per second from 0 to 8 s; each figure is `value(second)`.
fn put(samples: &mut Vec<Sample>, of: &Subject, figures: &[(Counter, &dyn Fn(u64) -> u64)]) {
    for second in 0..=8 {
        samples.push(Sample {
            offset_ns: second * S,
            of: of.clone(),
            counters: figures
                .iter()
                .map(|(counter, value)| (*counter, value(second)))
                .collect(),
        });
    }
}

fn of(service: &str) -> ServiceRef {
    ServiceRef { service: name(service) }
}

fn process(service: &str, pid: u32) -> Subject {
    Subject::Process(ServiceProcess {
        service: name(service),
        pid,
        start_ticks: 1,
    })
}

fn part(part: &str, service: Option<&str>, pid: u32) -> Subject {
    Subject::Platform(PlatformProcess {
        part: name(part),
        service: service.map(name),
        pid,
        start_ticks: 1,
    })
}

/// So many hundredths of a CPU, in ns.
fn ns(percent: u64) -> impl Fn(u64) -> u64 {
    move |second| second * percent * S / 100
}

fn ticks(percent: u64) -> impl Fn(u64) -> u64 {
    move |second| second * percent
}

fn none(_: u64) -> u64 {
    0
}

/// A container with 40 %, its engine, the runner and other processes, on a host with 60 % and an unattributed remainder of 2 %.
fn container() -> Vec<Sample> {
    let mut samples = Vec::new();
    put(
        &mut samples,
        &Subject::Cgroup(of("web")),
        &[
            (Counter::CpuNs, &ns(40)),
            (Counter::MemoryBytes, &|s| 1000 + s),
            (Counter::InactiveFileBytes, &|_| 100),
        ],
    );
    let figures: [(Counter, &dyn Fn(u64) -> u64); 5] = [
        (Counter::CpuNs, &ns(38)),
        (Counter::UserTicks, &ticks(25)),
        (Counter::SystemTicks, &ticks(13)),
        (Counter::RssBytes, &|_| 700),
        (Counter::PssBytes, &|s| 600 + s),
    ];
    put(&mut samples, &process("web", 7), &figures);
    put(
        &mut samples,
        &part("dockerd", None, 1),
        &[(Counter::CpuNs, &ns(3)), (Counter::RssBytes, &|_| 90_000)],
    );
    put(
        &mut samples,
        &part("containerd", None, 2),
        &[(Counter::CpuNs, &ns(1)), (Counter::RssBytes, &|_| 40_000)],
    );
    put(
        &mut samples,
        &part("docker-proxy", Some("web"), 3),
        &[(Counter::CpuNs, &ns(6)), (Counter::RssBytes, &|_| 4000)],
    );
    put(
        &mut samples,
        &Subject::Runner(ProcessRef { pid: 9, start_ticks: 1 }),
        &[(Counter::CpuNs, &ns(2)), (Counter::ReapedUserTicks, &ticks(50))],
    );
    put(
        &mut samples,
        &Subject::OtherProcesses(OtherProcessesRef {
            kind: ProcessKind::Kernel,
        }),
        &[(Counter::UserTicks, &none), (Counter::SystemTicks, &ticks(1))],
    );
    put(
        &mut samples,
        &Subject::OtherProcesses(OtherProcessesRef {
            kind: ProcessKind::Programs,
        }),
        &[(Counter::UserTicks, &ticks(4)), (Counter::SystemTicks, &ticks(3))],
    );
    samples
}

fn host(samples: &mut Vec<Sample>, apart: Option<u64>) {
    let apart = move |_| apart.unwrap_or(0);
    let mut figures: Vec<(Counter, &dyn Fn(u64) -> u64)> = vec![
        (Counter::UserTicks, &|s| 35 * s),
        (Counter::NiceTicks, &|s| s),
        (Counter::SystemTicks, &|s| 20 * s),
        (Counter::IdleTicks, &|s| 100 * s),
        (Counter::IrqTicks, &|s| s),
        (Counter::SoftirqTicks, &|s| 5 * s),
        (Counter::StealTicks, &|s| 7 * s),
    ];
    if apart(0) > 0 {
        figures.push((Counter::IrqApart, &apart));
    }
    put(samples, &Subject::Host(WholeHost {}), &figures);
}

fn account(samples: &[Sample], auxiliary: &[&str]) -> ResourceBreakdown {
    let auxiliary = &auxiliary.iter().map(|text| name(text)).collect();
    let idle = IdleWindow {
        length_ns: 2 * S,
        host: HostUsage {
            user_ticks: 3,
            system_ticks: 2,
            interrupt_ticks: 1,
            idle_ticks: 394,
            steal_ticks: 9,
        },
    };
    let scope = BreakdownScope {
        window: WINDOW,
        auxiliary,
        idle: Some(&idle),
    };
    resource_breakdown(samples, &scope).unwrap()
}

fn near(value: f64, expected: f64) {
    assert!((value - expected).abs() < 1e-6, "{value}, expected {expected}");
}

#[test]
fn rows_do_not_overlap_and_add_up_to_the_host() {
    let mut samples = container();
    host(&mut samples, None);
    let cpu = account(&samples, &[]).cpu;
    near(cpu.services_percent, 40.0);
    near(cpu.pidstat_percent.unwrap(), 38.0);
    near(cpu.platform_percent, 10.0);
    near(cpu.owned_by(Owner::Runner), 2.0);
    near(cpu.owned_by(Owner::Other), 8.0);
    let host = cpu.host.unwrap();
    near(host.busy_percent, 62.0);
    near(host.accounted_percent, 60.0);
    near(host.remainder_percent, 2.0);
    near(host.steal_percent, 7.0);
    near(host.idle_percent.unwrap(), 3.0);
}

#[test]
fn interrupts_are_a_row_only_if_accounted_for_separately() {
    let mut samples = container();
    host(&mut samples, Some(1));
    let host = account(&samples, &[]).cpu.host.unwrap();
    assert_eq!(host.irq_apart, Some(true));
    near(host.accounted_percent, 66.0);
    near(host.remainder_percent, -4.0);
}

#[test]
fn uncounted_time_is_part_of_the_host() {
    let mut samples = container();
    host(&mut samples, None);
    let cpus: (Counter, &dyn Fn(u64) -> u64) = (Counter::Cpus, &|_| 2);
    put(&mut samples, &Subject::Host(WholeHost {}), &[cpus]);
    let host = account(&samples, &[]).cpu.host.unwrap();
    // Of 200, 62 are busy, 100 idle and 7 stolen.
    near(host.unticked_percent.unwrap(), 31.0);
    near(host.used_percent(), 93.0);
    near(host.remainder_percent, 33.0);
}

#[test]
fn the_schedulers_clock_takes_precedence_over_ticks() {
    for (apart, used) in [(None, 61.0), (Some(1), 67.0)] {
        let mut samples = container();
        host(&mut samples, apart);
        let ran: (Counter, &dyn Fn(u64) -> u64) = (Counter::CpuNs, &|s| s * S * 61 / 100);
        put(&mut samples, &Subject::Host(WholeHost {}), &[ran]);
        let host = account(&samples, &[]).cpu.host.unwrap();
        near(host.tasks_percent.unwrap(), 61.0);
        near(host.used_percent(), used);
        near(host.remainder_percent, 1.0);
    }
}

#[test]
fn the_distance_of_edge_readings_is_reported() {
    let mut samples = container();
    host(&mut samples, None);
    let at = |offset_ns, of, counter, value| Sample {
        offset_ns,
        of,
        counters: [(counter, value)].into_iter().collect(),
    };
    let off = |samples: &[Sample]| account(samples, &[]).edges.unwrap();
    assert_eq!((off(&samples).start_off_ns, off(&samples).end_off_ns), (0, 0));
    samples.retain(|sample| ![2 * S, 6 * S].contains(&sample.offset_ns));
    samples.push(at(2 * S + 7, Subject::Host(WholeHost {}), Counter::UserTicks, 70));
    assert_eq!((off(&samples).start_off_ns, off(&samples).end_off_ns), (7, S));
    // A sample of page tables alone is not a tick and changes neither CPU time nor resident memory.
    let before = account(&samples, &[]);
    samples.push(at(2 * S + 9, process("web", 7), Counter::PssBytes, 900));
    let breakdown = account(&samples, &[]);
    assert_eq!(breakdown.cpu, before.cpu);
    let (web, old) = (&breakdown.memory.services[0], &before.memory.services[0]);
    assert_eq!((web.pss_start_bytes, web.pss_end_bytes), (Some(900.0), Some(605.0)));
    assert_eq!(web.rss_bytes, old.rss_bytes);
    samples.retain(|sample| sample.offset_ns < 4 * S || sample.counters.get(Counter::PssBytes).is_none());
    assert_eq!(account(&samples, &[]).memory.services[0].pss_end_bytes, None);
}

#[test]
fn vcpus_belong_to_the_guest_and_other_threads_to_the_platform() {
    let mut samples = Vec::new();
    put(&mut samples, &Subject::Cgroup(of("vm")), &[(Counter::CpuNs, &ns(50))]);
    put(
        &mut samples,
        &process("vm", 7),
        &[(Counter::CpuNs, &ns(49)), (Counter::GuestMemoryBytes, &|_| 128 << 20)],
    );
    for (role, percent) in [(Role::Vcpu, 30), (Role::Vhost, 8), (Role::Io, 1), (Role::Emulator, 10)] {
        let service = name("vm");
        put(
            &mut samples,
            &Subject::Threads(QemuThreads { service, role }),
            &[(Counter::CpuNs, &ns(percent)), (Counter::Threads, &|_| 1)],
        );
    }
    let breakdown = account(&samples, &[]);
    near(breakdown.cpu.services_percent, 50.0);
    near(breakdown.cpu.platform_percent, 19.0);
    // What no thread accounts for is the guest's: 50 - 19.
    near(breakdown.cpu.owned_by(Owner::Service), 31.0);
    assert_eq!(breakdown.cpu.host, None);
    assert_eq!(breakdown.memory.services[0].guest_bytes, Some(f64::from(128 << 20)));
}

#[test]
fn auxiliary_services_are_counted_separately() {
    let mut samples = container();
    put(
        &mut samples,
        &process("kafka", 20),
        &[
            (Counter::CpuNs, &ns(90)),
            (Counter::UserTicks, &ticks(90)),
            (Counter::SystemTicks, &none),
        ],
    );
    let cpu = account(&samples, &["kafka"]).cpu;
    near(cpu.services_percent, 40.0);
    near(cpu.owned_by(Owner::Auxiliary), 90.0);
    near(cpu.pidstat_percent.unwrap(), 38.0);
}

#[test]
fn memory_by_every_measure() {
    let mut samples = container();
    put(
        &mut samples,
        &Subject::Engine(of("web")),
        &[(Counter::ShownBytes, &|s| 900 + s)],
    );
    put(
        &mut samples,
        &Subject::Guest(of("web")),
        &[
            (Counter::MemoryBytes, &|_| 1000),
            (Counter::FreeBytes, &|_| 400),
            (Counter::CpuNs, &|s| 5 + s * 250_000_000),
        ],
    );
    put(
        &mut samples,
        &Subject::Host(WholeHost {}),
        &[(Counter::MemoryBytes, &|_| 8000), (Counter::AvailableBytes, &|_| 5000)],
    );
    let breakdown = account(&samples, &[]);
    let close = |percent: f64| (percent - 25.0).abs() < 1e-6;
    assert!(
        breakdown.cpu.guest_reported_percent.is_some_and(close),
        "{:?}",
        breakdown.cpu
    );
    let memory = breakdown.memory;
    let web = &memory.services[0];
    assert_eq!(web.guest_used_bytes, Some(600.0));
    assert_eq!(
        (web.rss_bytes, web.pss_ready_bytes, web.pss_stop_bytes),
        (Some(700.0), Some(600.0), Some(608.0))
    );
    assert_eq!((web.charged_bytes, web.working_set_bytes), (Some(1004.0), Some(904.0)));
    assert_eq!(
        (web.docker_stats_bytes, web.guest_bytes, web.anon_bytes),
        (Some(908.0), None, None)
    );
    let parts: Vec<(&str, Option<f64>)> = memory
        .platform
        .iter()
        .map(|part| (part.part.as_str(), part.rss_bytes))
        .collect();
    let expected = [
        ("containerd", Some(40_000.0)),
        ("docker-proxy", Some(4000.0)),
        ("dockerd", Some(90_000.0)),
        ("runner", None),
    ];
    assert_eq!(parts, expected);
    assert_eq!(
        (memory.host_used_bytes, memory.host_total_bytes),
        (Some(3000.0), Some(8000.0))
    );
}

#[test]
fn every_counter_is_summarised_and_energy_may_wrap_around() {
    let mut samples = container();
    let link = Subject::Link(Link {
        service: Some(name("web")),
        interface: "eth0".into(),
    });
    put(&mut samples, &link, &[(Counter::ReceivedBytes, &|s| 500 * s)]);
    let energy = Subject::Energy(Energy {
        domain: "package-0".into(),
    });
    put(
        &mut samples,
        &energy,
        &[
            (Counter::EnergyUj, &|s| (s * 10 + 55) % 100),
            (Counter::EnergyRangeUj, &|_| 100),
        ],
    );
    let counters = account(&samples, &[]).counters;
    let subject = |of: &str| counters.iter().find(|subject| subject.of == of).unwrap();
    near(subject("link").per_second["received_bytes"], 500.0);
    near(subject("energy").per_second["energy_uj"], 10.0);
    near(subject("processes").per_second["cpu_ns"], 380_000_000.0);
    near(subject("cgroup").mean["memory_bytes"], 1004.0);
    assert_eq!(counters.iter().filter(|subject| subject.of == "platform").count(), 3);
}

#[test]
fn there_is_no_breakdown_without_samples_or_window() {
    let scope = BreakdownScope {
        window: WINDOW,
        auxiliary: &BTreeSet::new(),
        idle: None,
    };
    assert_eq!(resource_breakdown(&[], &scope), None);
    let window = SampleWindow {
        end_ns: WINDOW.start_ns,
        ..WINDOW
    };
    assert_eq!(
        resource_breakdown(&container(), &BreakdownScope { window, ..scope }),
        None
    );
}
