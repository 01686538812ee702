use protocol::event::IdleWindow;
use protocol::sample::{
    Counter, Energy, Link, OtherProcessesRef, PlatformProcess, ProcessKind, ProcessRef, QemuThreads, Role, Sample,
    ServiceProcess, ServiceRef, Subject, WholeHost,
};
use protocol::summary::HostUsage;

use super::*;

const S: u64 = 1_000_000_000;
const CUT: Cut = Cut {
    start_ns: 2 * S,
    end_ns: 6 * S,
    interval_ns: S,
    ticks_per_s: 100,
};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// One sample a second from 0 to 8 s; each figure is `value(second)`.
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

/// So many hundredths of a CPU, in ns and in ticks.
fn ns(percent: u64) -> impl Fn(u64) -> u64 {
    move |second| second * percent * S / 100
}

fn ticks(percent: u64) -> impl Fn(u64) -> u64 {
    move |second| second * percent
}

fn none(_: u64) -> u64 {
    0
}

/// A container of 40 %, its engine, the runner and the rest, on a host of 60 % and 2 % more that nobody has.
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

fn account(samples: &[Sample], beside: &[&str]) -> Ledger {
    let beside = &beside.iter().map(|text| name(text)).collect();
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
    let frame = Frame {
        cut: CUT,
        beside,
        idle: Some(&idle),
    };
    ledger(samples, &frame).unwrap()
}

fn near(value: f64, expected: f64) {
    assert!((value - expected).abs() < 1e-6, "{value} is not {expected}");
}

#[test]
fn rows_do_not_overlap_and_add_up_to_the_host() {
    let mut samples = container();
    host(&mut samples, None);
    let cpu = account(&samples, &[]).cpu;
    near(cpu.services_percent, 40.0);
    near(cpu.pidstat_percent.unwrap(), 38.0);
    near(cpu.platform_percent, 10.0);
    near(cpu.group(Group::Runner), 2.0);
    near(cpu.group(Group::Rest), 8.0);
    let host = cpu.host.unwrap();
    near(host.busy_percent, 62.0);
    near(host.accounted_percent, 60.0);
    near(host.remainder_percent, 2.0);
    near(host.steal_percent, 7.0);
    near(host.idle_percent.unwrap(), 3.0);
}

#[test]
fn interrupts_are_a_row_only_where_the_kernel_keeps_them_apart() {
    let mut samples = container();
    host(&mut samples, Some(1));
    let host = account(&samples, &[]).cpu.host.unwrap();
    assert_eq!(host.irq_apart, Some(true));
    near(host.accounted_percent, 66.0);
    near(host.remainder_percent, -4.0);
}

#[test]
fn time_that_no_tick_has_counted_belongs_to_the_host() {
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
fn what_the_scheduler_says_of_all_tasks_is_the_whole() {
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
fn the_nearest_readings_of_the_edges_are_said_and_page_tables_count_there() {
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
    // A sample of page tables alone is no tick, and changes neither CPU time nor resident memory.
    let before = account(&samples, &[]);
    samples.push(at(2 * S + 9, process("web", 7), Counter::PssBytes, 900));
    let ledger = account(&samples, &[]);
    assert_eq!(ledger.cpu, before.cpu);
    let (web, old) = (&ledger.memory.services[0], &before.memory.services[0]);
    assert_eq!((web.pss_start_bytes, web.pss_end_bytes), (Some(900.0), Some(605.0)));
    assert_eq!(web.rss_bytes, old.rss_bytes);
    samples.retain(|sample| sample.offset_ns < 4 * S || sample.counters.get(Counter::PssBytes).is_none());
    assert_eq!(account(&samples, &[]).memory.services[0].pss_end_bytes, None);
}

#[test]
fn a_guest_is_its_virtual_cpus_and_the_rest_of_qemu_its_platform() {
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
    let ledger = account(&samples, &[]);
    near(ledger.cpu.services_percent, 50.0);
    near(ledger.cpu.platform_percent, 19.0);
    // What no thread was seen to use is the guest's: 50 - 19.
    near(ledger.cpu.group(Group::Service), 31.0);
    assert_eq!(ledger.cpu.host, None);
    assert_eq!(ledger.memory.services[0].guest_bytes, Some(f64::from(128 << 20)));
}

#[test]
fn what_runs_beside_the_platform_is_no_service_of_it() {
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
    near(cpu.group(Group::Beside), 90.0);
    near(cpu.pidstat_percent.unwrap(), 38.0);
}

#[test]
fn memory_by_every_meter() {
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
    let ledger = account(&samples, &[]);
    let close = |percent: f64| (percent - 25.0).abs() < 1e-6;
    assert!(ledger.cpu.guests_say_percent.is_some_and(close), "{:?}", ledger.cpu);
    let memory = ledger.memory;
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
fn every_counter_is_in_a_view_and_energy_may_begin_anew() {
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
    let views = account(&samples, &[]).views;
    let view = |of: &str| views.iter().find(|view| view.of == of).unwrap();
    near(view("link").per_second["received_bytes"], 500.0);
    near(view("energy").per_second["energy_uj"], 10.0);
    near(view("processes").per_second["cpu_ns"], 380_000_000.0);
    near(view("cgroup").mean["memory_bytes"], 1004.0);
    assert_eq!(views.iter().filter(|view| view.of == "platform").count(), 3);
}

#[test]
fn nothing_is_accounted_for_where_nothing_was_sampled() {
    let frame = Frame {
        cut: CUT,
        beside: &BTreeSet::new(),
        idle: None,
    };
    assert_eq!(ledger(&[], &frame), None);
    let cut = Cut {
        end_ns: CUT.start_ns,
        ..CUT
    };
    assert_eq!(ledger(&container(), &Frame { cut, ..frame }), None);
}
