//! The replies and the resource usage of a synthetic service.

use protocol::sample::{Counter, Sample, Samples, Subject};
use protocol::summary::{Exit, HostUsage, KernelLogSummary, ServiceSummary, Summary, Teardown};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::synthetic::{S, name};
use loader::{ErrorKind, Request};
use protocol::load::{LoadKind, LoadSpec};

/// Requests of a warm-up and a window; some slow, few failed.
pub fn requests(rng: &mut ChaCha8Rng, load: &LoadSpec, docker: bool) -> Vec<Request> {
    let all_ns = warm_up_ns(load) + duration_ns(load);
    let distance = 1e9 / rate(load);
    let own: f64 = rng.random_range(0.95..1.05);
    let mut due = Vec::new();
    for i in 0u32.. {
        let at = (f64::from(i) * distance).round();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 2^53")]
        let at = at as u64;
        if at >= all_ns {
            break;
        }
        due.push(at);
    }
    let mut all: Vec<_> = due
        .into_iter()
        .map(|at| request(rng, at, warm_up_ns(load), docker, own))
        .collect();
    all.sort_by_key(|request| request.done_ns);
    all
}

fn request(rng: &mut ChaCha8Rng, due: u64, warm_up_ns: u64, docker: bool, own: f64) -> Request {
    let uniform: f64 = rng.random_range(1e-4..1.0);
    let micros = own * (if docker { 310.0 } else { 220.0 }) * (1.0 + 0.22 * -uniform.ln())
        + if rng.random_range(0..400) == 0 { 3000.0 } else { 0.0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousands")]
    let service = (micros * 1000.0) as u64;
    let sent = due + rng.random_range(3_000..30_000);
    let fails = rng.random_range(0..20_000) == 0;
    Request {
        intended_ns: due,
        sent_ns: Some(sent),
        connected_ns: Some(sent + service / 3),
        first_byte_ns: (!fails).then_some(sent + service * 9 / 10),
        done_ns: if fails { sent + 2 * S } else { sent + service },
        label: 0,
        status: if fails { 0 } else { 200 },
        bytes_in: if fails { 0 } else { 1094 },
        bytes_out: 58,
        thread: 0,
        connection: rng.random_range(0..8),
        in_flight: 1,
        error: fails.then_some(ErrorKind::Timeout),
        warm_up: due < warm_up_ns,
    }
}

fn warm_up_ns(load: &LoadSpec) -> u64 {
    u64::try_from(load.kind.measured().warm_up.as_nanos()).unwrap()
}

/// The length of the measurement window, ns.
pub fn duration_ns(load: &LoadSpec) -> u64 {
    u64::try_from(load.kind.measured().duration.as_nanos()).unwrap()
}

/// The rate of a load.
pub fn rate(load: &LoadSpec) -> f64 {
    match &load.kind {
        LoadKind::Rate(rate) => rate.rate_per_s,
        _ => panic!("the synthetic loads are rates"),
    }
}

/// One process, sampled once a second.
pub fn samples(rng: &mut ChaCha8Rng, load: &LoadSpec, docker: bool) -> Vec<Samples> {
    let seconds = (warm_up_ns(load) + duration_ns(load)) / S + 2;
    let (mut cpu_ns, mut batches) = (3_000_000, Vec::new());
    for second in 0..=seconds {
        let busy = rate(load) * if docker { 90_000.0 } else { 70_000.0 } * rng.random_range(0.93..1.07);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 2^53")]
        let busy = busy as u64;
        batches.push(Samples {
            batch: second,
            samples: super::views::round(second * S + rng.random_range(0..100_000), second, cpu_ns, docker),
        });
        cpu_ns += busy;
    }
    batches
}

/// The runner's summary.
pub fn summary(samples: &[Sample], batches: u64, steal: bool) -> Summary {
    let own = samples.iter().filter(|sample| matches!(sample.of, Subject::Process(_)));
    let last = &own.clone().next_back().unwrap().counters;
    Summary {
        services: vec![ServiceSummary {
            sizes: Vec::new(),
            service: name("tcp"),
            pids: vec![4242],
            samples: own.count() as u64,
            user_ticks: last.get(Counter::UserTicks).unwrap(),
            system_ticks: last.get(Counter::SystemTicks).unwrap(),
            cpu_ns: last.get(Counter::CpuNs),
            rss_mean_bytes: 1 << 20,
            rss_max_bytes: 1 << 20,
            exit: Exit::Signal(15),
        }],
        batches,
        samples: samples.len() as u64,
        missed_ticks: 0,
        sampler_cpu_ns: 1_000_000,
        kernel_log: KernelLogSummary::default(),
        host: HostUsage {
            user_ticks: 100,
            system_ticks: 100,
            interrupt_ticks: 10,
            idle_ticks: 700,
            steal_ticks: if steal { 40 } else { 0 },
        },
        notes: Vec::new(),
        teardown: Teardown::default(),
    }
}
