//! A record that no rule objects to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::AttemptId;
use protocol::event::Ready;
use protocol::spec::{NativeSpec, PlatformSpec};
use protocol::summary::{Exit, HostUsage, KernelLogSummary, ServiceSummary, Summary, Teardown};

use crate::stats::usage::{CpuSource, ServiceUsage};
use crate::store::{
    AttemptKey, CellKey, Distribution, FORMAT, GeneratorRecord, Latency, RequestCounts, SamplingRecord, TrialKey,
    TrialRecord, Window,
};
use protocol::load::{Arrivals, HttpRequests, Little, LoadKind, LoadSpec, RateLoad, Timing, Wait};

pub(super) const S: u64 = 1_000_000_000;

/// 5,000 successful requests in 10 s.
pub(super) fn valid_record() -> TrialRecord {
    let name = |text: &str| text.parse().unwrap();
    let times = |p50_ns, p99_ns| Distribution {
        count: 5000,
        p50_ns,
        p99_ns,
        ..Distribution::default()
    };
    TrialRecord {
        format: FORMAT,
        key: AttemptKey {
            trial: TrialKey {
                block: 1,
                cell: CellKey {
                    platform: name("native"),
                    workload: name("tcp"),
                    load: name("rate-500"),
                },
            },
            attempt: 1,
        },
        attempt_id: AttemptId::fresh(),
        index: 0,
        platform: PlatformSpec::Native(NativeSpec {}),
        started: "2026-11-22T02:01:02Z".parse().unwrap(),
        ended: "2026-11-22T02:01:20Z".parse().unwrap(),
        settle: None,
        load: LoadSpec {
            kind: LoadKind::Rate(RateLoad {
                rate_per_s: 500.0,
                timing: Timing {
                    warm_up: Duration::from_nanos(S),
                    duration: Duration::from_nanos(10 * S),
                    timeout: Duration::from_nanos(2 * S),
                },
                arrivals: Arrivals::Uniform,
                keep_alive: false,
                cpus: vec![],
            }),
            wait: Wait::Sleep,
            keep_awake: true,
            http: HttpRequests::default(),
        },
        ready: Some(Ready {
            clock_ns: 0,
            endpoints: vec![],
            startup: vec![],
            prepare_ns: 0,
            seed_ns: None,
            idle: None,
            placement: vec![],
            deviations: vec![],
            emulation: None,
            services: vec![],
        }),
        clock: None,
        window: Some(Window {
            origin_epoch_ns: 0,
            start_ns: S,
            end_ns: 11 * S,
            runner_start_ns: S,
            runner_end_ns: 11 * S,
            error_ns: 100_000,
        }),
        requests: RequestCounts {
            planned: 5000,
            total: 5000,
            ok: 5000,
            failed: BTreeMap::new(),
            warm_up: 500,
        },
        little: Some(Little {
            concurrency: 0.15,
            throughput_per_s: 500.0,
            mean_ns: 300_000.0,
        }),
        latency: Some(Latency {
            response: times(300_000, 900_000),
            lag: times(5_000, 40_000),
            ..Latency::default()
        }),
        labels: vec![],
        ramp: None,
        external: None,
        loaders: Vec::new(),
        generator: Some(GeneratorRecord {
            threads: 1,
            busiest_share: 0.99,
            ..GeneratorRecord::default()
        }),
        readback: None,
        auxiliary: BTreeSet::new(),
        sampling: SamplingRecord {
            interval_ms: 1000,
            batches: 13,
            samples: 13,
            ticks_per_s: 100,
        },
        udp: None,
        tls: None,
        resources: vec![ServiceUsage {
            service: name("tcp"),
            processes: 1,
            ticks: 10,
            coverage: 1.0,
            cpu_user_percent: 1.0,
            cpu_system_percent: 2.0,
            cpu_total_percent: 3.0,
            cpu_source: CpuSource::Schedstat,
            rss_mean_bytes: 1e6,
            rss_max_bytes: 1_000_000,
        }],
        breakdown: None,
        summary: Some(summary()),
        failure: None,
        verdict: crate::store::Verdict::default(),
        files: BTreeMap::new(),
    }
}

pub(super) fn summary() -> Summary {
    Summary {
        services: vec![ServiceSummary {
            sizes: Vec::new(),
            service: "tcp".parse().unwrap(),
            pids: vec![1],
            samples: 13,
            user_ticks: 1,
            system_ticks: 2,
            cpu_ns: None,
            rss_mean_bytes: 1,
            rss_max_bytes: 1,
            exit: Exit::Code(0),
        }],
        batches: 13,
        samples: 13,
        missed_ticks: 0,
        sampler_cpu_ns: 0,
        kernel_log: KernelLogSummary::default(),
        host: HostUsage {
            idle_ticks: 1000,
            ..HostUsage::default()
        },
        notes: Vec::new(),
        teardown: Teardown::default(),
    }
}
