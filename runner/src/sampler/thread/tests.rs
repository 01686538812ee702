use super::*;
use crate::sampler::Service;
use protocol::sample::{Counter, ServiceRef};

fn config(interval_ms: u64, pids: Vec<u32>) -> SamplerConfig {
    SamplerConfig {
        root: "/proc".into(),
        sys: "/sys".into(),
        page_bytes: crate::facts::page_bytes(),
        interval: Duration::from_millis(interval_ms),
        zero_ns: clock::now_ns(),
        priority: Priority::Normal,
        targets: Targets {
            services: vec![Service::new(crate::testing::name("web"), pids)],
            platform: Vec::new(),
        },
    }
}

#[test]
fn this_process_is_sampled_on_the_grid() {
    let (out, mut batches) = tokio::sync::mpsc::unbounded_channel();
    let sampler = Sampler::start(config(10, vec![std::process::id()]), out).unwrap();
    let engine = Subject::Engine(ServiceRef {
        service: crate::testing::name("web"),
    });
    sampler
        .external()
        .add([(engine.clone(), Counters::from_iter([(Counter::ShownBytes, 7)]))]);
    std::thread::sleep(Duration::from_millis(550));
    sampler.edge();
    std::thread::sleep(Duration::from_millis(550));
    let first = batches.blocking_recv().unwrap();
    let sampled = sampler.finish();
    let mut samples = first.samples;
    let mut expected_batch = 1;
    while let Some(batch) = batches.blocking_recv() {
        assert_eq!(batch.batch, expected_batch);
        expected_batch += 1;
        samples.extend(batch.samples);
    }
    assert_eq!((first.batch, sampled.batches), (0, expected_batch));
    assert_eq!(sampled.totals.samples(), samples.len() as u64);
    assert!(samples.iter().any(|sample| sample.of == engine));
    let own = samples.iter().filter(|sample| matches!(sample.of, Subject::Process(_)));
    assert!(own.clone().is_sorted_by_key(|sample| sample.offset_ns));
    let totals: Vec<u64> = own
        .clone()
        .filter_map(|sample| sample.counters.get(Counter::CpuNs))
        .collect();
    assert!(totals.len() > 3 && totals.is_sorted());
    assert!(
        own.clone()
            .filter_map(|sample| sample.counters.get(Counter::RssBytes))
            .all(|rss| rss > 0)
    );
    // Most rounds are quick, the first and the last are checkpoints, and the edge reads all counters and then page tables.
    let walked = own
        .clone()
        .filter(|sample| sample.counters.get(Counter::RssBytes).is_none());
    assert!(
        walked
            .clone()
            .all(|sample| sample.counters.get(Counter::PssBytes).is_some())
    );
    assert_eq!(walked.count(), 1);
    let with = |counter| {
        own.clone()
            .filter(|sample| sample.counters.get(counter).is_some())
            .count()
    };
    assert!(with(Counter::UserTicks) < totals.len() && with(Counter::PssBytes) == 3);
    assert!(sampled.cpu_ns > sampled.ends_cpu_ns && sampled.ends_cpu_ns > 0);
    assert!(sampled.host.idle_ticks + sampled.host.user_ticks > 0);
}

#[test]
fn batches_fit_into_a_message() {
    let sample = |figures: usize| Sample {
        offset_ns: u64::MAX,
        of: Subject::Engine(ServiceRef {
            service: crate::testing::name("web"),
        }),
        counters: Counter::ALL[..figures]
            .iter()
            .map(|&counter| (counter, u64::MAX >> 12))
            .collect(),
    };
    let samples = vec![sample(40); 2000];
    let fits = fitting(&samples);
    let batch = Samples {
        batch: 1,
        samples: samples[..fits].to_vec(),
    };
    let bytes = serde_json::to_vec(&batch).unwrap().len();
    assert!(fits > 100 && bytes < 800_000, "{fits} samples are {bytes} bytes");
    assert_eq!(fitting(&samples[..1]), 1);
}
