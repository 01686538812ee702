//! The content of the larger messages.

use std::collections::BTreeMap;

use protocol::facts::{
    CpuFacts, HostFacts, HostState, KernelFacts, MemoryFacts, NumaNode, PlatformFacts, Program, ServiceFacts,
    Temperature, Unmet,
};
use protocol::load::Transport;
use protocol::sample::{
    Counter, Counters, Energy, GuestThread, Link, OtherProcessesRef, PlatformProcess, ProcessKind, ProcessRef,
    QemuThreads, Role, Sample, Samples, ServiceProcess, ServiceRef, Subject, WholeHost,
};
use protocol::size::{Part, Size};
use protocol::spec::PlatformKind;
use protocol::summary::{
    Exit, HostUsage, KernelEvent, KernelEventKind, KernelLogSummary, ServiceSummary, Summary, Teardown,
};

use crate::name;

pub fn facts() -> HostFacts {
    HostFacts {
        host: name("lab-2"),
        runner_version: "0.1.0".into(),
        runner_cpus: Some("0".parse().unwrap()),
        os: "Debian 12".into(),
        kernel: "6.1.0".into(),
        arch: "x86_64".into(),
        cpu_model: "a CPU".into(),
        cpus: 2,
        memory_bytes: 1 << 34,
        clock_ticks_per_s: 100,
        page_bytes: 4096,
        cgroup_version: Some(2),
        kvm_opens: false,
        cpu: CpuFacts {
            sockets: Some(1),
            cores: Some(2),
            smt: Some(false),
            nodes: vec![NumaNode {
                node: 0,
                cpus: Some("0-1".parse().unwrap()),
                memory_bytes: Some(1 << 34),
            }],
            governor: Some("performance".into()),
            driver: Some("intel_pstate".into()),
            min_khz: Some(800_000),
            max_khz: Some(3_000_000),
            turbo: Some(false),
            idle_driver: Some("intel_idle".into()),
            idle_states: vec!["POLL".into(), "C1".into()],
            microcode: Some("0x1".into()),
            isolated: Some("1".parse().unwrap()),
            nohz_full: None,
            is_virtual: Some(false),
        },
        settings: KernelFacts {
            build: Some("#1 SMP".into()),
            command_line: Some("quiet isolcpus=1".into()),
            boot_id: Some("019a0000-0000-4000-8000-000000000009".into()),
            clocksource: Some("tsc".into()),
            aslr: Some(2),
            mitigations: BTreeMap::from([("meltdown".into(), "Mitigation: PTI".into())]),
            halt_poll_ns: Some(200_000),
        },
        memory: MemoryFacts {
            thp: Some("madvise".into()),
            ksm: Some(false),
            swap_bytes: Some(0),
            swappiness: Some(60),
            overcommit: Some(0),
            huge_pages: Some(0),
        },
        now: HostState {
            load_1m: Some(0.25),
            busy_ticks: Some(1000),
            all_ticks: Some(9000),
            available_bytes: Some(1 << 33),
            dirty_bytes: Some(4096),
            swap_used_bytes: Some(0),
            temperatures: vec![Temperature {
                sensor: "x86_pkg_temp".into(),
                millidegrees: 41_000,
            }],
            throttles: Some(0),
            kernel_log: Some(815),
        },
        programs: vec![Program {
            path: "/usr/bin/dockerd".into(),
            bytes: 75_181_184,
            sha256: "00".repeat(32),
        }],
        platforms: vec![PlatformFacts {
            kind: PlatformKind::Docker,
            unmet: Some(Unmet {
                need: "no engine".into(),
                remedy: "install one".into(),
            }),
            details: BTreeMap::from([("engine".into(), "20.10".into())]),
        }],
        services: vec![ServiceFacts {
            service: name("web"),
            protocol: Some(Transport::Http),
            record: None,
            unmet: vec![
                None,
                Some(Unmet {
                    need: "no [container]".into(),
                    remedy: "add it".into(),
                }),
            ],
        }],
    }
}

pub fn samples() -> Samples {
    let of = ServiceRef { service: name("tcp") };
    let subjects = [
        Subject::Cgroup(of.clone()),
        Subject::Process(ServiceProcess {
            service: name("tcp"),
            pid: 17,
            start_ticks: 4711,
        }),
        Subject::Threads(QemuThreads {
            service: name("tcp"),
            role: Role::Vcpu,
        }),
        Subject::Platform(PlatformProcess {
            part: name("dockerd"),
            service: None,
            pid: 18,
            start_ticks: 4712,
        }),
        Subject::Runner(ProcessRef {
            pid: 19,
            start_ticks: 4713,
        }),
        Subject::OtherProcesses(OtherProcessesRef {
            kind: ProcessKind::Kernel,
        }),
        Subject::Host(WholeHost {}),
        Subject::Link(Link {
            service: Some(name("tcp")),
            interface: "eth0".into(),
        }),
        Subject::Engine(of.clone()),
        Subject::Guest(of),
        Subject::GuestThread(GuestThread {
            service: name("tcp"),
            id: 7,
            name: "/workload".into(),
        }),
        Subject::Energy(Energy {
            domain: "package-0".into(),
        }),
    ];
    let counters = |number: usize| {
        let value = |counter: &Counter| (*counter, number as u64);
        Counters::from_iter(Counter::ALL[number..].iter().step_by(9).map(value))
    };
    let sample = |(number, of)| Sample {
        offset_ns: 1_000_000_000,
        of,
        counters: counters(number),
    };
    Samples {
        batch: 0,
        samples: subjects.into_iter().enumerate().map(sample).collect(),
    }
}

pub fn summary() -> Summary {
    Summary {
        services: vec![ServiceSummary {
            service: name("tcp"),
            pids: vec![17],
            samples: 11,
            user_ticks: 10,
            system_ticks: 20,
            cpu_ns: None,
            rss_mean_bytes: 4096,
            rss_max_bytes: 8192,
            exit: Exit::Code(0),
            sizes: vec![Size {
                part: Part::Program,
                id: "/opt/jung/workload".into(),
                bytes: 1 << 20,
            }],
        }],
        batches: 11,
        samples: 11,
        missed_ticks: 0,
        sampler_cpu_ns: 1000,
        host: HostUsage {
            user_ticks: 1,
            system_ticks: 2,
            interrupt_ticks: 3,
            idle_ticks: 4,
            steal_ticks: 5,
        },
        kernel_log: KernelLogSummary {
            is_readable: true,
            messages: 2,
            troubles: vec![KernelEvent {
                kind: KernelEventKind::GroupOutOfMemory,
                text: "Memory cgroup out of memory: Killed process 17".into(),
            }],
        },
        notes: vec!["no io".into()],
        teardown: Teardown::default(),
    }
}
