use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::arbitrary::requests;
use crate::log::RequestLog;
use crate::request::Request;
use crate::tally::Tally;

/// The outcome of a machine with these requests.
fn outcome(requests: &[Request], threads: usize) -> Outcome {
    let mut tally = Tally::new(0..1000);
    let mut in_order = requests.to_vec();
    in_order.sort_by_key(|request| request.done_ns);
    in_order.iter().for_each(|request| tally.record(request));
    Outcome {
        threads,
        ..Outcome::of(tally, Origin::after(Duration::ZERO), RequestLog::of(in_order))
    }
}

fn request(template: Request, thread: u8) -> Request {
    Request {
        thread,
        intended_ns: template.intended_ns.min(template.done_ns),
        ..template
    }
}

proptest! {
    /// The merged outcome equals that of one machine with all requests.
    #[test]
    fn merged_parts_equal_the_whole(
        one in prop::collection::vec(requests(), 0..30), other in prop::collection::vec(requests(), 0..30),
    ) {
        let one: Vec<_> = one.into_iter().map(|r| request(r, 1)).collect();
        let other: Vec<_> = other.into_iter().map(|r| request(r, 0)).collect();
        let moved = other.iter().map(|r| Request { thread: 2, ..*r });
        let all: Vec<_> = one.iter().copied().chain(moved).collect();
        let whole = outcome(&all, 3);
        let start = Instant::now();
        let merged = merge(vec![outcome(&one, 2), outcome(&other, 1)], start).unwrap();
        prop_assert_eq!((&merged.counts, &merged.warm_up), (&whole.counts, &whole.warm_up));
        prop_assert_eq!(&merged.histograms, &whole.histograms);
        prop_assert_eq!((merged.threads, merged.started), (3, start));
        let read = |outcome: &Outcome| {
            let mut all: Vec<_> = outcome.requests.read().unwrap().map(Result::unwrap).collect();
            all.sort_by_key(|r| (r.done_ns, r.thread, r.intended_ns, r.bytes_in, r.connection));
            all
        };
        prop_assert_eq!(read(&merged), read(&whole));
        prop_assert!(merged.requests.read().unwrap().map(|r| r.unwrap().done_ns).is_sorted());
    }
}

#[test]
fn littles_law_is_merged_over_windows_of_different_lengths() {
    let law = |concurrency, throughput_per_s, mean_ns| Little {
        concurrency,
        throughput_per_s,
        mean_ns,
    };
    // 100 requests of 10 ms in one second, 300 of 20 ms in three.
    let merged = little([(law(1.0, 100.0, 1e7), 1e9), (law(2.0, 100.0, 2e7), 3e9)], 3e9);
    assert!((merged.throughput_per_s - 400.0 / 3.0).abs() < 1e-9, "{merged:?}");
    assert!((merged.mean_ns - 1.75e7).abs() < 1e-3, "{merged:?}");
    assert!((merged.ratio() - 1.0).abs() < 1e-9, "{merged:?}");
    let nothing = little([(law(0.0, 0.0, 0.0), 0.0), (law(0.0, 0.0, 0.0), 0.0)], 0.0);
    assert_eq!((nothing.mean_ns, nothing.ratio()), (0.0, 1.0));
}

#[test]
fn packets_are_added_and_service_counters_are_not() {
    let figures = |sent, seen| UdpStats {
        stream: StreamStats {
            sent,
            received: sent - 1,
            lost: 1,
            furthest_behind: sent,
            read: sent - 1,
            dropped: Some(0),
            total_ns: seen,
            ..StreamStats::default()
        },
        receive_buffer: 1000,
        host: None,
        service: Some(ServiceCounters {
            received: seen,
            answered: seen,
            unsent: 0,
            dropped: Some(1),
            receive_buffer: 7,
            sockets: 1,
        }),
        search: None,
    };
    let merged = packets(&figures(100, 150), &figures(50, 149));
    assert_eq!(
        (merged.stream.sent, merged.stream.lost, merged.stream.total_ns),
        (150, 2, 150)
    );
    assert_eq!(merged.stream.furthest_behind, 100);
    assert_eq!(
        merged.service.map(|service| (service.received, service.dropped)),
        Some((150, Some(1)))
    );
    assert_eq!(merged.lost_outbound(), Some(-1));
}

#[test]
fn no_parts_have_no_outcome() {
    assert!(merge(vec![], Instant::now()).is_none());
}
