use super::*;
use protocol::sample::{ServiceProcess, Subject};

const S: u64 = 1_000_000_000;
const CUT: Cut = Cut {
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

fn with<T>(processes: &[Vec<Sample>], look: impl FnOnce(Family<'_>) -> T) -> T {
    let of: Vec<Vec<&Sample>> = processes.iter().map(|samples| samples.iter().collect()).collect();
    look(Family::of(of.iter().map(|samples| &samples[..]), &CUT))
}

#[test]
fn children_that_are_never_seen_come_in_through_their_parent() {
    // Each second 10 ms of its own, and 30 ms of children that live for less than that.
    let parent = |s| {
        let figures = [
            (Counter::CpuNs, s * 10_000_000),
            (Counter::ReapedUserTicks, 2 * s),
            (Counter::ReapedSystemTicks, s),
        ];
        sample(1, s, &figures)
    };
    let cpu = with(&[(0..=8).map(parent).collect()], |family| {
        family.cpu_ns(2 * S, 6 * S, true)
    });
    assert_eq!(cpu, 4.0 * 40e6);
}

#[test]
fn a_child_that_was_seen_is_not_counted_again_when_it_is_reaped() {
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
    // Born before the window, seen to use 0.5 s, of which 0.3 s in the window; 0.03 s more before its end.
    let child = |s: u64| sample(2, s, &[(Counter::CpuNs, s * S / 10 + S / 10)]);
    let cpu = with(
        &[(0..=8).map(parent).collect(), (1..=4).map(child).collect()],
        |family| family.cpu_ns(2 * S, 6 * S, true),
    );
    assert!((cpu - (0.2e9 + 0.03e9)).abs() < 1e3, "{cpu}");
}

#[test]
fn threads_that_came_and_went_are_in_the_ticks() {
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
    let cpu = with(&[(0..=8).map(process).collect()], |family| {
        family.cpu_ns(2 * S, 6 * S, true)
    });
    assert!((cpu - 0.8e9).abs() < 1e7, "{cpu}");
    // Ticks that are behind, as rounding down makes them, change nothing.
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
    let cpu = with(&[(0..=8).map(process).collect()], |family| {
        family.cpu_ns(2 * S, 6 * S, true)
    });
    assert!((cpu - 0.86e9).abs() < 1.0, "{cpu}");
}

#[test]
fn pidstats_view_is_of_whole_ticks() {
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
    let percent = with(&[(0..=8).map(process).collect()], |family| {
        family.pidstat_percent(2 * S, 6 * S)
    });
    assert_eq!(percent, Some(12.0));
    // Readings of the ends themselves, which come just after them.
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
    let percent = with(&[of_ends.to_vec()], |family| family.pidstat_percent(2 * S, 6 * S));
    assert_eq!(percent, Some(20.0));
    assert_eq!(
        with(&[vec![process(3)]], |family| family.pidstat_percent(2 * S, 6 * S)),
        None
    );
}

#[test]
fn states_add_up_over_those_that_are_there() {
    let process = |pid: u32, s: u64| sample(pid, s, &[(Counter::RssBytes, 1000 * u64::from(pid))]);
    let processes = [
        (0..=8).map(|s| process(1, s)).collect(),
        (4..=8).map(|s| process(2, s)).collect(),
        vec![process(4, 1)],
    ];
    with(&processes, |family| {
        assert_eq!(family.first(Counter::RssBytes), Some(1000.0));
        assert_eq!(family.last(Counter::RssBytes), Some(3000.0));
        assert_eq!(
            family.mean(Counter::RssBytes, 2 * S, 6 * S),
            Some(1000.0 + 2000.0 / 2.0)
        );
        assert_eq!((family.seen(2 * S, 6 * S), family.last(Counter::PssBytes)), (2, None));
    });
}
