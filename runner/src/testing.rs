//! Messages for this crate's unit tests.

use protocol::command::{Run, TrialRef};
use protocol::event::{Failed, Ready, Stage};
use protocol::spec::{
    Deadlines, FakeSpec, HttpProbe, Place, PlatformSpec, Probe, Resources, Sampling, ServiceSource, ServiceSpec,
    WorkloadService,
};
use protocol::summary::{HostUsage, KernelLogSummary, Summary, Teardown};
use protocol::{Event, Name};

/// A name.
pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// A valid RUN on the fake platform.
pub fn run(lease_s: u64) -> Run {
    Run {
        trial: TrialRef {
            experiment: name("night"),
            cell: "fake.tcp.r500".to_owned(),
            block: 1,
            attempt: 1,
        },
        platform: PlatformSpec::Fake(FakeSpec::default()),
        services: vec![ServiceSpec {
            name: name("web"),
            place: Place::Platform,
            source: ServiceSource::Workload(WorkloadService {
                args: vec!["tcp".to_owned(), "--listen".to_owned(), "{listen}".to_owned()],
                port: Some(18080),
                ready: Probe::Http(HttpProbe {
                    path: "/".to_owned(),
                    status: 200,
                    body_bytes: Some(1000),
                    body: None,
                }),
            }),
        }],
        broker: None,
        seed: None,
        resources: Resources::default(),
        sampling: Sampling {
            interval_ms: 100,
            idle_ms: 0,
        },
        deadlines: Deadlines {
            prepare_ms: 60_000,
            ready_ms: 30_000,
            lease_ms: lease_s * 1000,
            seed_ms: 60_000,
            grace_ms: 2000,
        },
    }
}

/// A READY.
pub fn ready() -> Ready {
    Ready {
        clock_ns: 1,
        endpoints: Vec::new(),
        startup: Vec::new(),
        prepare_ns: 2,
        seed_ns: None,
        idle: None,
        placement: Vec::new(),
        deviations: Vec::new(),
        emulation: None,
        services: vec![],
    }
}

/// A SUMMARY.
pub fn summary() -> Event {
    Event::Summary(Summary {
        services: Vec::new(),
        batches: 0,
        samples: 0,
        missed_ticks: 0,
        sampler_cpu_ns: 0,
        kernel_log: KernelLogSummary::default(),
        host: HostUsage::default(),
        notes: Vec::new(),
        teardown: Teardown::default(),
    })
}

/// A FAILED.
pub fn failed(stage: Stage) -> Event {
    Event::Failed(Failed {
        stage,
        why: "why".to_owned(),
        logs: Vec::new(),
        teardown: Teardown::default(),
    })
}
