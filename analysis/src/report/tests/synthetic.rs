//! A synthetic run, stored as a campaign stores it, with seeded times.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use protocol::event::{Endpoint, LogTail, Ready, StartUp};
use protocol::facts::{CpuFacts, HostFacts, HostState, KernelFacts, MemoryFacts};
use protocol::sample::Sample;
use protocol::spec::{DockerSpec, NativeSpec, PlatformSpec, Resources};
use protocol::{AttemptId, Name};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::traffic::{duration_ns, requests, samples, summary};
use crate::audit;
use crate::stats::breakdown::{BreakdownScope, resource_breakdown};
use crate::stats::usage::{self, SampleWindow};
use crate::store::journal::{AttemptFinished, JournalEvent, RunEnded, TrialStarted};
use crate::store::*;
use loader::{Histograms, Label, Request};
use protocol::load::{Arrivals, HttpRequests, LoadKind, LoadSpec, MachineFacts, RateLoad, Timing, Transport, Wait};

pub const S: u64 = 1_000_000_000;
const WARM_UP: u64 = S;

/// The shape of the run.
pub struct Script {
    pub blocks: u32,
    pub seconds: u64,
    pub rates: Vec<u32>,
    /// In block 2, a container's first attempt loses the runner; a later trial has steal.
    pub trouble: bool,
    pub finished: bool,
}

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// Writes a run below `results` and returns its folder.
pub fn write(results: &Path, script: &Script) -> PathBuf {
    let mut manifest = manifest(script);
    let (run, mut journal) = RunFolder::create(results, &mut manifest).unwrap();
    for planned in &manifest.plan {
        let docker = planned.trial.cell.platform.as_str() == "docker";
        let breaks = script.trouble && docker && planned.trial.block == 2;
        if breaks {
            attempt(&run, &mut journal, &manifest, planned, 1, true);
        }
        attempt(
            &run,
            &mut journal,
            &manifest,
            planned,
            if breaks { 2 } else { 1 },
            false,
        );
    }
    let end = RunEnded {
        why: "all trials are done".into(),
    };
    if script.finished {
        journal.append(JournalEvent::RunFinished(end)).unwrap();
    }
    run.path().to_owned()
}

fn load_spec(rate: u32, seconds: u64) -> LoadSpec {
    LoadSpec {
        kind: LoadKind::Rate(RateLoad {
            rate_per_s: f64::from(rate),
            timing: Timing {
                warm_up: Duration::from_nanos(WARM_UP),
                duration: Duration::from_nanos(seconds * S),
                timeout: Duration::from_nanos(2 * S),
            },
            arrivals: Arrivals::Uniform,
            keep_alive: false,
            cpus: vec![],
        }),
        wait: Wait::Sleep,
        keep_awake: true,
        http: HttpRequests::default(),
    }
}

fn manifest(script: &Script) -> Manifest {
    let platform = |n: &str, spec| PlatformRecord { name: name(n), spec };
    let loads: Vec<_> = script
        .rates
        .iter()
        .map(|r| LoadRecord {
            name: name(&format!("rate-{r}")),
            spec: load_spec(*r, script.seconds),
        })
        .collect();
    let experiment = ExperimentRecord {
        name: name("native-docker"),
        iterations: script.blocks,
        seed: 7,
        order: "randomized-blocks".into(),
        max_attempts: 3,
        baseline: name("native"),
        platforms: vec![
            platform("native", PlatformSpec::Native(NativeSpec {})),
            platform("docker", PlatformSpec::Docker(DockerSpec::default())),
        ],
        workloads: vec![WorkloadRecord {
            name: name("tcp"),
            what: "HTTP/1.1 over TCP, 1000 bytes a reply".into(),
            transport: Transport::Http,
        }],
        loads,
        skips: Vec::new(),
        resources: Resources {
            cpuset: Some("0-1".parse().unwrap()),
            mems: None,
            memory_mib: Some(128),
        },
        loaders: Vec::new(),
        sampling_interval_ms: 1000,
    };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut plan = Vec::new();
    for block in 1..=script.blocks {
        let mut cells: Vec<_> = experiment.cells().collect();
        for i in (1..cells.len()).rev() {
            cells.swap(i, rng.random_range(0..=i));
        }
        for cell in cells {
            let index = u32::try_from(plan.len()).unwrap();
            plan.push(PlannedTrial {
                index,
                trial: TrialKey { block, cell },
            });
        }
    }
    let started: Timestamp = "2026-11-22T02:01:02Z".parse().unwrap();
    Manifest {
        format: FORMAT,
        run: RunId::at(started),
        started,
        experiment,
        source: Source::of(
            Path::new("experiments.toml"),
            "name = \"native-docker\" # <b>not bold</b>\n",
        ),
        plan,
        loaders: Vec::new(),
        controller: MachineFacts {
            version: "0.1.0".into(),
            commit: Some("0123abc".into()),
            machine: "bench-a".into(),
            os: "Debian GNU/Linux 12 (bookworm)".into(),
            kernel: "6.1.0-18-amd64".into(),
            arch: "x86_64".into(),
            cpu_model: "Synthetic CPU @ 3 GHz".into(),
            cpus: 2,
            memory_bytes: 8 << 30,
            governor: None,
            boot_id: None,
            pinned: None,
            limits: None,
        },
        hosts: vec![host()],
        left_out: vec![],
        preflight: Preflight::default(),
    }
}

fn host() -> HostFacts {
    HostFacts {
        host: name("local"),
        runner_version: "0.1.0".into(),
        os: "Debian GNU/Linux 12 (bookworm)".into(),
        kernel: "6.1.0-18-amd64".into(),
        arch: "x86_64".into(),
        cpu_model: "Synthetic CPU @ 3 GHz".into(),
        cpus: 2,
        memory_bytes: 8 << 30,
        clock_ticks_per_s: 100,
        page_bytes: 4096,
        runner_cpus: None,
        cgroup_version: Some(2),
        kvm_opens: false,
        cpu: CpuFacts {
            governor: Some("performance".into()),
            ..CpuFacts::default()
        },
        settings: KernelFacts::default(),
        memory: MemoryFacts::default(),
        now: HostState::default(),
        programs: vec![],
        platforms: vec![],
        services: vec![],
    }
}

fn attempt(
    run: &RunFolder,
    journal: &mut Journal,
    manifest: &Manifest,
    planned: &PlannedTrial,
    number: u32,
    breaks: bool,
) {
    let key = AttemptKey {
        trial: planned.trial.clone(),
        attempt: number,
    };
    let attempt_id = AttemptId(uuid::Uuid::from_u128(
        u128::from(planned.index) * 10 + u128::from(number),
    ));
    journal
        .append(JournalEvent::TrialStarted(TrialStarted {
            key: key.clone(),
            attempt_id,
        }))
        .unwrap();
    let cell = &planned.trial.cell;
    let load = manifest
        .experiment
        .loads
        .iter()
        .find(|l| l.name == cell.load)
        .unwrap()
        .spec
        .clone();
    let docker = cell.platform.as_str() == "docker";
    let mut rng = ChaCha8Rng::seed_from_u64(u64::from(planned.index) * 100 + u64::from(number));
    let requests = requests(&mut rng, &load, docker);
    let mut histograms = Histograms::new();
    requests
        .iter()
        .filter(|r| !r.warm_up)
        .for_each(|r| histograms.record(r));
    let batches = samples(&mut rng, &load, docker);
    let window = Window {
        origin_epoch_ns: 1_795_312_862 * S + u64::from(planned.index) * 60 * S,
        start_ns: WARM_UP,
        end_ns: WARM_UP + duration_ns(&load),
        runner_start_ns: WARM_UP + S / 3,
        runner_end_ns: WARM_UP + S / 3 + duration_ns(&load),
        error_ns: 200_000,
    };
    let all: Vec<Sample> = batches.iter().flat_map(|b| b.samples.clone()).collect();
    let sample_window = SampleWindow {
        start_ns: window.runner_start_ns,
        end_ns: window.runner_end_ns,
        interval_ns: S,
        ticks_per_s: 100,
    };
    let mut record = TrialRecord {
        settle: None,
        format: FORMAT,
        key: key.clone(),
        attempt_id,
        index: planned.index,
        platform: if docker {
            PlatformSpec::Docker(DockerSpec::default())
        } else {
            PlatformSpec::Native(NativeSpec {})
        },
        started: manifest.started,
        ended: manifest.started,
        ready: Some(Ready {
            clock_ns: 5 * S,
            endpoints: vec![Endpoint {
                service: name("tcp"),
                address: "127.0.0.1:8080".parse().unwrap(),
            }],
            startup: vec![StartUp {
                service: name("tcp"),
                process_ns: 900_000,
                first_output_ns: None,
                first_reply_ns: if docker { 380_000_000 } else { 4_000_000 } + rng.random_range(0..2_000_000),
            }],
            prepare_ns: 0,
            seed_ns: None,
            idle: None,
            placement: vec![],
            deviations: if docker {
                vec!["the bridge lies on the network path".into()]
            } else {
                vec![]
            },
            emulation: None,
            services: vec![],
        }),
        clock: Some(ClockOffset {
            offset_ns: -12,
            error_ns: 200_000,
            exchanges: 16,
        }),
        window: Some(window),
        requests: counts(&requests),
        latency: Some(Latency::of(&histograms)),
        labels: vec![],
        ramp: None,
        external: None,
        generator: None,
        loaders: Vec::new(),
        little: None,
        load,
        readback: None,
        auxiliary: BTreeSet::new(),
        sampling: SamplingRecord {
            interval_ms: 1000,
            batches: batches.len() as u64,
            samples: all.len() as u64,
            ticks_per_s: 100,
        },
        udp: None,
        tls: None,
        resources: usage::usage(&all, sample_window),
        breakdown: resource_breakdown(
            &all,
            &BreakdownScope {
                window: sample_window,
                auxiliary: &BTreeSet::new(),
                idle: None,
            },
        ),
        summary: Some(summary(&all, batches.len() as u64, planned.index == 5)),
        failure: None,
        verdict: crate::store::Verdict::default(),
        files: BTreeMap::new(),
    };
    if breaks {
        record.summary = None;
        record.failure = Some(FailureRecord {
            stage: "runner".into(),
            why: "no message for 30 s".into(),
        });
    }
    record.verdict = audit::audit(&record);
    let mut writer = run.begin(&key).unwrap();
    let context = JtlContext {
        groups: Vec::new(),
        label: format!("{}/tcp", cell.load),
        labels: vec![Label {
            name: String::new(),
            url: "http://127.0.0.1:8080/".into(),
        }],
        origin_epoch_ns: window.origin_epoch_ns,
    };
    writer.requests(requests.iter().map(|r| Ok(*r)), &context).unwrap();
    writer.samples(&batches).unwrap();
    writer
        .histograms(&histograms, Duration::from_nanos(window.end_ns - window.start_ns))
        .unwrap();
    writer
        .logs(&[LogTail {
            service: name("tcp"),
            text: "listening\n".into(),
        }])
        .unwrap();
    let files = writer.finish(&mut record).unwrap();
    journal
        .append(JournalEvent::AttemptFinished(AttemptFinished::of(&record, files)))
        .unwrap();
}

fn counts(requests: &[Request]) -> RequestCounts {
    let mut counts = RequestCounts {
        planned: requests.iter().filter(|r| !r.warm_up).count() as u64,
        ..RequestCounts::default()
    };
    requests.iter().for_each(|r| counts.add(r));
    counts
}
