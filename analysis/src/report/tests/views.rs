//! The samples of a synthetic host at one instant.

use protocol::Name;
use protocol::sample::{
    Counter, OtherProcessesRef, PlatformProcess, ProcessKind, ProcessRef, Sample, ServiceProcess, ServiceRef, Subject,
    WholeHost,
};

use super::synthetic::name;

/// A subject and its counters.
type View = (Subject, Vec<(Counter, u64)>);

/// All subjects `second` seconds after READY, with a service that has used `cpu_ns`.
pub fn round(offset_ns: u64, second: u64, cpu_ns: u64, docker: bool) -> Vec<Sample> {
    let mut views = services(second, cpu_ns);
    views.extend(surroundings(second, cpu_ns));
    if docker {
        views.extend(engine(second));
    }
    let sample = |(of, figures): View| Sample {
        offset_ns,
        of,
        counters: figures.into_iter().collect(),
    };
    views.into_iter().map(sample).collect()
}

fn services(second: u64, cpu_ns: u64) -> Vec<View> {
    use Counter::*;
    let rss = (2 << 20) + second * 8192;
    let cgroup = vec![
        (CpuNs, cpu_ns + second * 100_000),
        (MemoryBytes, rss + 300_000),
        (AnonBytes, rss - 90_000),
        (FileBytes, 120_000),
        (InactiveFileBytes, 50_000),
        (KernelBytes, 200_000),
        (SockBytes, 70_000),
        (PeakBytes, rss + 400_000),
    ];
    let process = vec![
        (UserTicks, cpu_ns / 30_000_000),
        (SystemTicks, cpu_ns / 15_000_000),
        (CpuNs, cpu_ns),
        (RssBytes, rss),
        (PssBytes, rss - 4096),
        (VoluntarySwitches, second * 900),
    ];
    let service = name("tcp");
    let of_process = ServiceProcess {
        service: service.clone(),
        pid: 4242,
        start_ticks: 777,
    };
    vec![
        (Subject::Cgroup(ServiceRef { service }), cgroup),
        (Subject::Process(of_process), process),
    ]
}

fn surroundings(second: u64, cpu_ns: u64) -> Vec<View> {
    use Counter::*;
    let host = vec![
        (UserTicks, cpu_ns / 30_000_000 + second * 4),
        (NiceTicks, 0),
        (SystemTicks, cpu_ns / 15_000_000 + second * 2),
        (IrqTicks, 0),
        (SoftirqTicks, second / 2),
        (StealTicks, 0),
        (MemoryBytes, 8192 << 20),
        (AvailableBytes, 7000 << 20),
    ];
    let rest = |kind, user, system| {
        (
            Subject::OtherProcesses(OtherProcessesRef { kind }),
            vec![(UserTicks, user), (SystemTicks, system)],
        )
    };
    vec![
        (
            Subject::Runner(ProcessRef { pid: 9, start_ticks: 3 }),
            part(second, 3_000_000, 12),
        ),
        rest(ProcessKind::Kernel, 0, second),
        rest(ProcessKind::Programs, 2 * second, second),
        (Subject::Host(WholeHost {}), host),
    ]
}

fn part(second: u64, ns: u64, mib: u64) -> Vec<(Counter, u64)> {
    vec![
        (Counter::CpuNs, second * ns),
        (Counter::RssBytes, mib << 20),
        (Counter::PssBytes, (mib << 20) - 9000),
    ]
}

fn engine(second: u64) -> Vec<View> {
    let process = |of: &str, service: Option<Name>, pid| {
        Subject::Platform(PlatformProcess {
            part: name(of),
            service,
            pid,
            start_ticks: 5,
        })
    };
    let service = name("tcp");
    let shown = vec![(Counter::ShownBytes, (2 << 20) + second * 8192 + 250_000)];
    vec![
        (process("dockerd", None, 11), part(second, 2_000_000, 74)),
        (process("containerd", None, 12), part(second, 1_000_000, 41)),
        (
            process("containerd-shim", Some(service.clone()), 13),
            part(second, 500_000, 9),
        ),
        (Subject::Engine(ServiceRef { service }), shown),
    ]
}
