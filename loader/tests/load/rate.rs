//! The engine `rate`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::requests;
use crate::scripted::{Action, GOOD, Scripted};
use crate::service::Service;
use loader::{
    Arrivals, BodyRule, Connections, Control, Engine, ErrorKind, Expect, LoadError, Outcome, Rate, RatePlan, Target,
};

const KEEP_ALIVE: Connections = Connections::KeepAlive { pool: 2, at_most: 64 };
const PER_REQUEST: Connections = Connections::PerRequest { at_most: None };

fn target(address: SocketAddr, count: u64) -> Target {
    let expect = Expect::ok(BodyRule::Repeat { byte: b'A', count });
    Target {
        address,
        path: "/".into(),
        expect,
    }
}

fn plan(rate_per_s: f64, millis: u64) -> RatePlan {
    RatePlan::new(rate_per_s, Duration::from_millis(millis))
}

fn run(plan: RatePlan, target: &Target) -> Outcome {
    Rate::new(plan, target).unwrap().run(&Control::new()).unwrap()
}

/// Ten requests to a scripted server: all must fail with `kind`.
fn all_fail_with(kind: ErrorKind, script: Vec<Action>) {
    for connections in [PER_REQUEST, KEEP_ALIVE] {
        let server = Scripted::start(script.clone());
        // Only tests of the time-out need a short one.
        let timeout = Duration::from_millis(if kind == ErrorKind::Timeout { 1500 } else { 20_000 });
        let plan = RatePlan {
            timeout,
            connections,
            ..plan(50.0, 200)
        };
        let outcome = run(plan, &target(server.address, 5));
        assert_eq!(outcome.counts.due, 10);
        assert_eq!(outcome.counts.succeeded, 0, "{kind:?}");
        assert_eq!(
            outcome.counts.errors().collect::<Vec<_>>(),
            vec![(kind, 10)],
            "{connections:?}"
        );
        assert_eq!(
            requests(&outcome).into_iter().filter(|r| r.error == Some(kind)).count(),
            10
        );
        assert_eq!(outcome.histograms.response.len(), 0);
    }
}

fn send(text: &str) -> Action {
    Action::Send(text.as_bytes().to_vec())
}

#[test]
fn short_body() {
    all_fail_with(
        ErrorKind::ShortBody,
        vec![send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nAAA"), Action::Close],
    );
}

#[test]
fn wrong_length() {
    all_fail_with(
        ErrorKind::WrongLength,
        vec![send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nAAAA")],
    );
    all_fail_with(
        ErrorKind::WrongLength,
        vec![send("HTTP/1.1 200 OK\r\n\r\nAAAAAA"), Action::Close],
    );
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nAAA\r\n3\r\nAAA\r\n0\r\n\r\n";
    all_fail_with(ErrorKind::WrongLength, vec![send(chunks)]);
}

#[test]
fn early_close() {
    all_fail_with(ErrorKind::ClosedEarly, vec![Action::Close]);
    all_fail_with(
        ErrorKind::ClosedEarly,
        vec![send("HTTP/1.1 200 OK\r\nConte"), Action::Close],
    );
}

#[test]
fn slow_and_absent_replies_time_out() {
    all_fail_with(
        ErrorKind::Timeout,
        vec![Action::Drip(GOOD.to_vec(), Duration::from_millis(100)), Action::Hold],
    );
    all_fail_with(ErrorKind::Timeout, vec![Action::Hold]);
}

#[test]
fn reset() {
    all_fail_with(ErrorKind::Reset, vec![Action::Reset]);
    all_fail_with(
        ErrorKind::Reset,
        vec![
            send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nAA"),
            Action::Pause,
            Action::Reset,
        ],
    );
}

#[test]
fn garbage() {
    all_fail_with(ErrorKind::Malformed, vec![send("SSH-2.0-OpenSSH_9.2\r\n")]);
    all_fail_with(
        ErrorKind::Malformed,
        vec![Action::Send(b"\0\x01\x02\n\xff".repeat(1000))],
    );
    all_fail_with(
        ErrorKind::Malformed,
        vec![send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")],
    );
}

#[test]
fn endless_head() {
    all_fail_with(
        ErrorKind::HeadTooLarge,
        vec![
            send("HTTP/1.1 200 OK\r\n"),
            Action::Forever(b"X: yyyyyyyyyyyy\r\n".to_vec()),
        ],
    );
    all_fail_with(
        ErrorKind::HeadTooLarge,
        vec![send("HTTP/1.1 200 OK\r\nX: "), Action::Forever(vec![b'y'; 100])],
    );
}

#[test]
fn endless_body() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    all_fail_with(
        ErrorKind::Timeout,
        vec![send(chunked), Action::Forever(b"1\r\nA\r\n".repeat(100))],
    );
}

#[test]
fn wrong_byte_in_the_body() {
    all_fail_with(
        ErrorKind::WrongBody,
        vec![send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nAABAA")],
    );
}

#[test]
fn wrong_status() {
    all_fail_with(
        ErrorKind::WrongStatus,
        vec![send("HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno")],
    );
}

#[test]
fn bytes_after_the_reply() {
    let mut reply = GOOD.to_vec();
    reply.extend_from_slice(GOOD);
    all_fail_with(ErrorKind::TrailingBytes, vec![Action::Send(reply)]);
}

#[test]
fn connection_refused() {
    let free = SocketAddr::from(([127, 0, 0, 1], testkit::free_port()));
    for connections in [PER_REQUEST, KEEP_ALIVE] {
        let outcome = run(
            RatePlan {
                connections,
                ..plan(50.0, 200)
            },
            &target(free, 5),
        );
        assert_eq!(
            outcome.counts.errors().collect::<Vec<_>>(),
            vec![(ErrorKind::ConnectRefused, 10)]
        );
    }
}

#[test]
fn a_full_accept_queue_is_a_connect_timeout() {
    let server = Scripted::with_full_queue();
    let plan = RatePlan {
        timeout: Duration::from_millis(500),
        ..plan(50.0, 200)
    };
    let outcome = run(plan, &target(server.address, 5));
    assert_eq!(outcome.counts.due, 10);
    assert_eq!(
        outcome.counts.of(ErrorKind::ConnectTimeout) + outcome.counts.of(ErrorKind::Timeout),
        10
    );
    assert!(
        outcome.counts.of(ErrorKind::ConnectTimeout) >= 5,
        "{:?}",
        outcome.counts
    );
}

#[test]
fn correct_replies_of_unusual_form_succeed() {
    for script in [
        vec![Action::Drip(GOOD.to_vec(), Duration::from_millis(1))],
        vec![
            send("HTTP/1.1 102 Processing\r\n\r\n"),
            Action::Pause,
            Action::Send(GOOD.to_vec()),
        ],
        vec![send("HTTP/1.1 200 OK\r\n\r\nAAAAA"), Action::Close],
        vec![send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nAAAAA\r\n0\r\n\r\n",
        )],
        vec![send("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nAAAAA"), Action::Close],
    ] {
        for connections in [PER_REQUEST, KEEP_ALIVE] {
            let server = Scripted::start(script.clone());
            let plan = RatePlan {
                timeout: Duration::from_secs(20),
                connections,
                ..plan(50.0, 200)
            };
            let outcome = run(plan, &target(server.address, 5));
            assert_eq!(
                (outcome.counts.succeeded, outcome.counts.failed()),
                (10, 0),
                "{script:?} {:?}",
                outcome.counts
            );
        }
    }
}

#[test]
fn a_server_that_does_not_close_is_reset() {
    let server = Scripted::start(vec![Action::Send(GOOD.to_vec()), Action::Hold]);
    let outcome = run(plan(20.0, 1000), &target(server.address, 5));
    assert_eq!(outcome.counts.succeeded, 20);
    assert!(outcome.left_open > 0);
}

#[test]
fn waiting_for_a_busy_pool_shows_as_lag() {
    let server = Scripted::start(vec![Action::Hold]);
    let connections = Connections::KeepAlive { pool: 1, at_most: 3 };
    let plan = RatePlan {
        timeout: Duration::from_millis(400),
        connections,
        ..plan(50.0, 200)
    };
    let outcome = run(plan, &target(server.address, 5));
    assert_eq!(outcome.counts.due, 10);
    // A request that takes the slot of a timed-out one has little time left to connect.
    let tried = outcome.counts.of(ErrorKind::Timeout) + outcome.counts.of(ErrorKind::ConnectTimeout);
    assert!(tried >= 3, "{:?}", outcome.counts);
    assert_eq!(tried + outcome.counts.of(ErrorKind::NotSent), 10);
    // The fourth request is due at 60 ms and gets a connection when the first one times out at 400 ms.
    assert!(outcome.histograms.lag.max() > 300_000_000);
}

#[test]
fn cancellation_ends_the_load_with_the_results_so_far() {
    let server = Scripted::start(vec![Action::Hold]);
    let control = Arc::new(Control::new());
    let plan = RatePlan {
        timeout: Duration::from_secs(60),
        ..plan(100.0, 60_000)
    };
    let engine = Rate::new(plan, &target(server.address, 5)).unwrap();
    let watched = Arc::clone(&control);
    let load = std::thread::spawn(move || engine.run(&watched).unwrap());
    let start = Instant::now();
    while control.progress().sent < 5 {
        assert!(start.elapsed() < Duration::from_secs(20), "nothing was sent");
        std::thread::sleep(Duration::from_millis(5));
    }
    control.cancel();
    let outcome = load.join().unwrap();
    assert!(start.elapsed() < Duration::from_secs(30));
    assert!(outcome.cancelled && outcome.counts.of(ErrorKind::Cancelled) >= 5);
    assert_eq!(outcome.counts.due, requests(&outcome).len() as u64);
}

#[test]
fn the_rates_of_the_thesis_against_workload_tcp() {
    let service = Service::start(1000);
    for (rate, connections, arrivals, cpus) in [
        (500.0, PER_REQUEST, Arrivals::Uniform, vec![]),
        (1000.0, PER_REQUEST, Arrivals::Uniform, vec![0]),
        (1000.0, KEEP_ALIVE, Arrivals::Uniform, vec![0, 0, 0]),
        (1000.0, KEEP_ALIVE, Arrivals::Poisson, vec![]),
    ] {
        let plan = RatePlan {
            warm_up: Duration::from_millis(200),
            timeout: Duration::from_secs(5),
            connections,
            arrivals,
            cpus,
            ..plan(rate, 2000)
        };
        check_clean(&run(plan.clone(), &target(service.address, 1000)), &plan);
    }
}

/// Every scheduled request was sent once and answered correctly, and all figures are consistent.
fn check_clean(outcome: &Outcome, plan: &RatePlan) {
    let counts = &outcome.counts;
    assert_eq!(counts.errors().collect::<Vec<_>>(), vec![], "{plan:?}");
    assert_eq!((counts.due, counts.sent), (counts.succeeded, counts.succeeded));
    if plan.arrivals == Arrivals::Uniform {
        let due = (plan.rate_per_s * plan.duration.as_secs_f64()).round();
        assert_eq!(counts.due as f64, due);
        assert_eq!(
            outcome.warm_up.due as f64,
            (plan.rate_per_s * plan.warm_up.as_secs_f64()).round()
        );
    }
    assert_eq!(requests(outcome).len() as u64, counts.due + outcome.warm_up.due);
    for histogram in [
        &outcome.histograms.response,
        &outcome.histograms.service,
        &outcome.histograms.lag,
    ] {
        assert_eq!(histogram.len(), counts.due);
    }
    let ordered = requests(outcome).into_iter().all(|r| {
        let (sent, first) = (r.sent_ns.unwrap(), r.first_byte_ns.unwrap());
        r.intended_ns <= sent && sent <= r.connected_ns.unwrap_or(sent) && sent <= first && first <= r.done_ns
    });
    assert!(ordered);
    assert!(
        requests(outcome)
            .into_iter()
            .all(|r| r.status == 200 && r.bytes_in > 1000 && r.bytes_out > 20)
    );
    assert!((outcome.little.ratio() - 1.0).abs() < 0.2, "{:?}", outcome.little);
    assert!(outcome.usage.cpu_ns > 0 && outcome.usage.wall_ns > 0);
}

/// A server that stalls for 200 ms every second: requests that arrive during a stall wait until its end, so at a constant rate a fraction of 0.2 waits
/// uniformly between 0 and 200 ms. The quantile q is 200 ms × (q - 0.8) / 0.2.
#[test]
fn a_stall_appears_in_the_percentiles_as_computed() {
    let server = Scripted::stalling(Duration::from_secs(1), Duration::from_millis(200));
    let plan = RatePlan {
        timeout: Duration::from_secs(20),
        connections: KEEP_ALIVE,
        ..plan(200.0, 5000)
    };
    let outcome = run(plan, &target(server.address, 5));
    assert_eq!((outcome.counts.succeeded, outcome.counts.failed()), (1000, 0));
    for quantile in [0.9, 0.95, 0.99] {
        let expected_ms = 200.0 * (quantile - 0.8) / 0.2;
        let found_ms = outcome.histograms.response.value_at_quantile(quantile) as f64 / 1e6;
        assert!(
            (found_ms - expected_ms).abs() < 60.0,
            "p{quantile}: {found_ms} ms, not {expected_ms} ms"
        );
    }
}

#[test]
fn loads_beyond_the_machines_limits_are_refused() {
    let target = target(([127, 0, 0, 1], 1).into(), 5);
    let refused = |plan| {
        Rate::new(plan, &target)
            .and_then(|engine| engine.run(&Control::new()))
            .unwrap_err()
    };
    let excessive = RatePlan {
        timeout: Duration::from_secs(1000),
        ..plan(1_000_000.0, 10)
    };
    assert!(matches!(
        refused(excessive),
        LoadError::Files { .. } | LoadError::Ports { .. }
    ));
    let absent_cpu = RatePlan {
        cpus: vec![0, 4000],
        ..plan(1.0, 10)
    };
    assert!(matches!(refused(absent_cpu), LoadError::Pin { cpu: 4000, .. }));
}
