use super::*;
use protocol::sample::{ServiceProcess, Subject};

const S: u64 = 1_000_000_000;
const WINDOW: SampleWindow = SampleWindow {
    start_ns: 2 * S,
    end_ns: 6 * S,
    interval_ns: S,
    ticks_per_s: 100,
};

fn sample(pid: u32, at_s: u64, figures: &[(Counter, u64)]) -> Sample {
    Sample {
        offset_ns: at_s * S,
        of: Subject::Process(ServiceProcess {
            service: "tcp".parse().unwrap(),
            pid,
            start_ticks: 1,
        }),
        counters: figures.iter().copied().collect(),
    }
}

fn with<T>(processes: &[Vec<Sample>], look: impl FnOnce(ProcessGroup<'_>) -> T) -> T {
    let of: Vec<Vec<&Sample>> = processes.iter().map(|samples| samples.iter().collect()).collect();
    look(ProcessGroup::of(of.iter().map(|samples| &samples[..]), &WINDOW))
}

#[test]
fn unseen_children_are_counted_through_their_parent() {
    // Each second, 10 ms of its own and 30 ms of short-lived children.
    let parent = |s| {
        let figures = [
            (Counter::CpuNs, s * 10_000_000),
            (Counter::ReapedUserTicks, 2 * s),
            (Counter::ReapedSystemTicks, s),
        ];
        sample(1, s, &figures)
    };
    let cpu = with(&[(0..=8).map(parent).collect()], |processes| {
        processes.cpu_ns(2 * S, 6 * S, true)
    });
    assert_eq!(cpu, 4.0 * 40e6);
}

#[test]
fn a_seen_child_is_not_counted_again_when_reaped() {
    let parent = |s: u64| {
        let reaped = if s >= 5 { 53 } else { 0 };
        sample(
            1,
            s,
            &[
                (Counter::CpuNs, 0),
                (Counter::ReapedUserTicks, reaped),
                (Counter::ReapedSystemTicks, 0),
            ],
        )
    };
    // Started before the window; 0.5 s seen, of which 0.3 s in the window; 0.03 s more until it ended.
    let child = |s: u64| sample(2, s, &[(Counter::CpuNs, s * S / 10 + S / 10)]);
    let cpu = with(
        &[(0..=8).map(parent).collect(), (1..=4).map(child).collect()],
        |processes| processes.cpu_ns(2 * S, 6 * S, true),
    );
    assert!((cpu - (0.2e9 + 0.03e9)).abs() < 1e3, "{cpu}");
}

#[test]
fn unseen_threads_are_counted_through_ticks() {
    let process = |s: u64| {
        sample(
            1,
            s,
            &[
                (Counter::CpuNs, s * 100),
                (Counter::UserTicks, 20 * s),
                (Counter::SystemTicks, 0),
            ],
        )
    };
    let cpu = with(&[(0..=8).map(process).collect()], |processes| {
        processes.cpu_ns(2 * S, 6 * S, true)
    });
    assert!((cpu - 0.8e9).abs() < 1e7, "{cpu}");
    // Ticks that are behind because of rounding change nothing.
    let process = |s: u64| {
        sample(
            1,
            s,
            &[
                (Counter::CpuNs, s * 215_000_000),
                (Counter::UserTicks, 20 * s),
                (Counter::SystemTicks, s),
            ],
        )
    };
    let cpu = with(&[(0..=8).map(process).collect()], |processes| {
        processes.cpu_ns(2 * S, 6 * S, true)
    });
    assert!((cpu - 0.86e9).abs() < 1.0, "{cpu}");
}

#[test]
fn pidstat_view_uses_whole_ticks() {
    let process = |s: u64| {
        sample(
            1,
            s,
            &[
                (Counter::CpuNs, s * 123_456_789),
                (Counter::UserTicks, 8 * s),
                (Counter::SystemTicks, 4 * s),
            ],
        )
    };
    let percent = with(&[(0..=8).map(process).collect()], |processes| {
        processes.pidstat_percent(2 * S, 6 * S)
    });
    assert_eq!(percent, Some(12.0));
    // Readings for the edges arrive just after them.
    let late = |at_ns: u64, ticks: u64| Sample {
        offset_ns: at_ns,
        ..sample(1, 0, &[(Counter::UserTicks, ticks), (Counter::SystemTicks, 0)])
    };
    let of_ends = [
        late(S, 0),
        late(2 * S + S / 100, 100),
        late(6 * S + S / 100, 180),
        late(8 * S, 900),
    ];
    let percent = with(&[of_ends.to_vec()], |processes| processes.pidstat_percent(2 * S, 6 * S));
    assert_eq!(percent, Some(20.0));
    assert_eq!(
        with(&[vec![process(3)]], |processes| processes.pidstat_percent(2 * S, 6 * S)),
        None
    );
}

#[test]
fn gauges_are_summed_over_existing_processes() {
    let process = |pid: u32, s: u64| sample(pid, s, &[(Counter::RssBytes, 1000 * u64::from(pid))]);
    let processes = [
        (0..=8).map(|s| process(1, s)).collect(),
        (4..=8).map(|s| process(2, s)).collect(),
        vec![process(4, 1)],
    ];
    with(&processes, |processes| {
        assert_eq!(processes.first(Counter::RssBytes), Some(1000.0));
        assert_eq!(processes.last(Counter::RssBytes), Some(3000.0));
        assert_eq!(
            processes.mean(Counter::RssBytes, 2 * S, 6 * S),
            Some(1000.0 + 2000.0 / 2.0)
        );
        assert_eq!(
            (processes.process_count(2 * S, 6 * S), processes.last(Counter::PssBytes)),
            (2, None)
        );
    });
}
