use super::*;
use proptest::prelude::*;

const S: u64 = 1_000_000_000;
const WINDOW: SampleWindow = SampleWindow {
    start_ns: 2 * S,
    end_ns: 6 * S,
    interval_ns: S,
    ticks_per_s: 100,
};

fn sample(pid: u32, start_ticks: u64, offset_ns: u64, figures: &[(Counter, Option<u64>)]) -> Sample {
    Sample {
        offset_ns,
        of: Subject::Process(ServiceProcess {
            service: "tcp".parse().unwrap(),
            pid,
            start_ticks,
        }),
        counters: figures
            .iter()
            .filter_map(|&(counter, value)| Some((counter, value?)))
            .collect(),
    }
}

/// A process that uses `percent` of a CPU, two thirds of it in user mode, sampled every second; with or without `cpu_ns`, which has an offset of `more`.
fn process(
    pid: u32,
    start: u64,
    seconds: std::ops::RangeInclusive<u64>,
    percent: u64,
    with_ns: bool,
    more: u64,
) -> Vec<Sample> {
    let born = *seconds.start();
    let at = |s: u64| {
        let figures = [
            (Counter::UserTicks, Some((s - born) * percent * 2 / 3)),
            (Counter::SystemTicks, Some((s - born) * percent / 3)),
            (Counter::CpuNs, with_ns.then_some((s - born) * percent * S / 100 + more)),
            (Counter::RssBytes, Some(1000)),
        ];
        sample(pid, start, s * S + u64::from(pid), &figures)
    };
    seconds.map(at).collect()
}

fn steady(pid: u32, seconds: std::ops::RangeInclusive<u64>, percent: u64) -> Vec<Sample> {
    process(pid, *seconds.start(), seconds, percent, true, 0)
}

fn only(samples: &[Sample]) -> ServiceUsage {
    let mut all = usage(samples, WINDOW);
    assert_eq!(all.len(), 1);
    all.remove(0)
}

#[test]
fn usage_of_a_steady_process() {
    let used = only(&steady(1, 0..=8, 30));
    assert!((used.cpu_total_percent - 30.0).abs() < 1e-6, "{used:?}");
    assert!((used.cpu_user_percent - 20.0).abs() < 1e-6 && (used.cpu_system_percent - 10.0).abs() < 1e-6);
    assert_eq!((used.processes, used.rss_max_bytes), (1, 1000));
    assert!((used.coverage - 1.0).abs() < 1e-9);
    assert_eq!(used.cpu_source, CpuSource::Schedstat);
}

#[test]
fn the_cgroup_takes_precedence_if_it_spans_the_window() {
    let mut samples = steady(1, 0..=8, 30);
    let cgroup = |s: u64| Sample {
        offset_ns: s * S,
        of: Subject::Cgroup(ServiceRef {
            service: "tcp".parse().unwrap(),
        }),
        counters: [(Counter::CpuNs, s * S / 2)].into_iter().collect(),
    };
    samples.extend((3..=8).map(cgroup));
    assert_eq!(only(&samples).cpu_source, CpuSource::Schedstat);
    samples.extend((0..3).map(cgroup));
    let used = only(&samples);
    assert_eq!(used.cpu_source, CpuSource::Cgroup);
    assert!((used.cpu_total_percent - 50.0).abs() < 1e-6, "{used:?}");
}

#[test]
fn the_last_round_may_follow_a_tick_immediately() {
    let mut samples = steady(1, 0..=5, 30);
    let mut last = samples[5].clone();
    last.offset_ns += S / 20;
    samples.push(last);
    let memory: Vec<u64> = series(&samples, S, 100).iter().map(|point| point.rss_bytes).collect();
    assert_eq!(memory, [1000; 6]);
    assert_eq!(only(&samples).rss_max_bytes, 1000);
}

#[test]
fn ticks_are_used_without_schedstat() {
    let used = only(&process(1, 0, 0..=8, 30, false, 0));
    assert_eq!(used.cpu_source, CpuSource::Ticks);
    assert!((used.cpu_total_percent - 30.0).abs() < 1e-6, "{used:?}");
}

#[test]
fn quick_samples_do_not_distort_user_and_system_time() {
    let mut samples = steady(1, 0..=8, 30);
    for quick in [1, 2, 4, 5, 6, 7] {
        let kept = samples[quick]
            .counters
            .iter()
            .filter(|(counter, _)| matches!(counter, Counter::CpuNs | Counter::RssBytes));
        samples[quick].counters = kept.collect();
    }
    let used = only(&samples);
    assert!(
        (used.cpu_user_percent - 20.0).abs() < 1e-6 && (used.cpu_total_percent - 30.0).abs() < 1e-6,
        "{used:?}"
    );
}

#[test]
fn a_sample_of_page_tables_alone_is_not_a_tick() {
    let mut samples = steady(1, 0..=8, 30);
    samples.extend(steady(2, 0..=8, 30));
    let before = (only(&samples), series(&samples, S, 100));
    samples.push(sample(1, 0, 3 * S + 5, &[(Counter::PssBytes, Some(77))]));
    assert_eq!((only(&samples), series(&samples, S, 100)), before);
    assert_eq!(before.0.cpu_source, CpuSource::Schedstat);
}

#[test]
fn a_window_without_ticks_uses_the_ticks_around_it() {
    let mut samples = steady(1, 0..=8, 30);
    for (second, bytes) in [(2, 3000), (3, 5000)] {
        let counters = &mut samples[second].counters;
        *counters = [(Counter::CpuNs, second as u64), (Counter::RssBytes, bytes)]
            .into_iter()
            .collect();
    }
    let window = SampleWindow {
        start_ns: 2 * S + S / 4,
        end_ns: 2 * S + S / 2,
        ..WINDOW
    };
    let used = usage(&samples, window).remove(0);
    assert_eq!((used.ticks, used.rss_max_bytes), (0, 5000));
    assert!((used.rss_mean_bytes - 4000.0).abs() < 1e-6, "{used:?}");
}

#[test]
fn new_processes_count_from_zero_and_ended_ones_to_their_last_sample() {
    let mut samples = steady(1, 0..=4, 50);
    samples.extend(process(2, 4, 4..=8, 50, true, S / 10));
    // 2 s x 50 % of the first; 2 s x 50 % and the 0.1 s before it was seen of the second; over 4 s.
    let used = only(&samples);
    assert!((used.cpu_total_percent - 52.5).abs() < 1e-5, "{used:?}");
    assert_eq!(used.processes, 2);
    assert_eq!(used.rss_max_bytes, 2000, "both exist at 4 s");
}

#[test]
fn a_reused_pid_is_another_process() {
    let mut samples = steady(1, 0..=4, 100);
    samples.extend(process(1, 500, 5..=8, 100, true, 0));
    // 2 s of the first, 1 s of the second; never a negative difference.
    let used = only(&samples);
    assert!((used.cpu_total_percent - 75.0).abs() < 1e-5, "{used:?}");
}

#[test]
fn incomplete_samples_reduce_the_coverage() {
    for seconds in [0..=4, 4..=8] {
        let used = only(&steady(1, seconds, 40));
        assert!(
            (used.coverage - 0.5).abs() < 1e-6 && (used.cpu_total_percent - 40.0).abs() < 1e-5,
            "{used:?}"
        );
    }
    assert!(usage(&[], WINDOW).is_empty());
}

#[test]
fn a_series_has_one_point_per_tick() {
    let mut samples = steady(1, 0..=3, 30);
    samples.extend(steady(2, 0..=3, 20));
    let points = series(&samples, S, 100);
    assert_eq!(points.len(), 3);
    assert!(
        points
            .iter()
            .all(|p| (p.cpu_percent - 50.0).abs() < 1e-6 && p.rss_bytes == 2000),
        "{points:?}"
    );
}

proptest! {
    #[test]
    fn arbitrary_samples_give_valid_figures(raw in proptest::collection::vec((0u64..10, 0u32..3, 0u64..2, 0u64..1000), 0..40)) {
        let mut samples: Vec<Sample> = raw.iter().map(|&(s, pid, start, n)| {
            let figures = [
                (Counter::UserTicks, (n % 3 != 0).then_some(n)),
                (Counter::SystemTicks, (n % 3 != 0).then_some(n)),
                (Counter::ReapedUserTicks, (n % 5 != 0).then_some(n)),
                (Counter::ReapedSystemTicks, Some(n)),
                (Counter::CpuNs, (n % 7 != 0).then_some(n)),
                (Counter::RssBytes, Some(n)),
            ];
            sample(pid, start, s * S / 2, &figures)
        }).collect();
        for used in usage(&samples, WINDOW) {
            prop_assert!(used.cpu_total_percent >= 0.0 && used.cpu_total_percent.is_finite());
            prop_assert!((0.0..=1.0).contains(&used.coverage));
        }
        let forward = usage(&samples, WINDOW);
        samples.reverse();
        prop_assert_eq!(forward.len(), usage(&samples, WINDOW).len());
        prop_assert!(series(&samples, S, 100).len() <= samples.len());
    }
}
