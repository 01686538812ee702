//! The engine `users`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::requests;
use crate::scripted::{Action, GOOD, Scripted};
use loader::{
    BodyRule, Call, Control, Engine, ErrorKind, Expect, Extent, Label, Message, Outcome, Request, Script, Think, Users,
    UsersPlan,
};

const LISTS: Extent = Extent::Lists {
    warm_up_calls: 0,
    at_most: Duration::from_secs(60),
};

fn window(warm_up: u64, duration: u64) -> Extent {
    Extent::Window {
        warm_up: Duration::from_millis(warm_up),
        duration: Duration::from_millis(duration),
    }
}

/// Calls of the paths `/0`, `/1`, ..., each with its own label, that expect their path as the reply.
fn calls(address: SocketAddr, count: u16, keep_alive: bool) -> (Vec<Call>, Vec<Label>) {
    (0..count)
        .map(|label| {
            let path = format!("/{label}");
            let bytes = Message::get(&path, keep_alive).to_bytes(address).unwrap();
            let expect = Expect::ok(BodyRule::Exact(path.as_bytes().into()));
            let call = Call {
                address,
                label,
                bytes: bytes.into(),
                expect,
            };
            let url = format!("http://{address}{path}");
            (call, Label { name: path, url })
        })
        .unzip()
}

fn plan(address: SocketAddr, lists: &[&[u32]], extent: Extent) -> UsersPlan {
    let (calls, labels) = calls(address, 5, true);
    let users = lists.iter().map(|list| Script {
        calls: list.to_vec(),
        repeat: matches!(extent, Extent::Window { .. }),
    });
    UsersPlan {
        timeout: Duration::from_secs(20),
        ..UsersPlan::new(calls, labels, users.collect(), extent)
    }
}

fn run(plan: UsersPlan) -> Outcome {
    Users::new(plan).unwrap().run(&Control::new()).unwrap()
}

/// The requests of each connection in completion order.
fn by_connection(outcome: &Outcome) -> Vec<Vec<Request>> {
    let key = |r: &Request| (r.thread, r.connection);
    let keys: BTreeSet<_> = requests(outcome).into_iter().map(|r| key(&r)).collect();
    keys.iter()
        .map(|k| requests(outcome).into_iter().filter(|r| key(r) == *k).collect())
        .collect()
}

#[test]
fn every_user_makes_its_calls_in_order_on_its_connection() {
    let server = Scripted::echo();
    let lists: [&[u32]; 4] = [&[0, 1, 2, 3, 4], &[4, 4, 4], &[3, 1, 3], &[2]];
    for cpus in [vec![], vec![0, 0]] {
        let outcome = run(UsersPlan {
            cpus,
            ..plan(server.address, &lists, LISTS)
        });
        assert_eq!((outcome.counts.succeeded, outcome.counts.failed()), (12, 0));
        assert_eq!(outcome.labels.len(), 5);
        let mut seen: Vec<Vec<u32>> = by_connection(&outcome)
            .iter()
            .map(|requests| requests.iter().map(|r| r.label.into()).collect())
            .collect();
        let mut expected = lists.map(<[u32]>::to_vec);
        seen.sort();
        expected.sort();
        assert_eq!(seen, expected);
        let ends = requests(&outcome).into_iter().map(|r| r.done_ns).max().unwrap();
        assert_eq!(
            outcome.window.end, ends,
            "an open-ended window ends with the last request"
        );
        assert!((outcome.little.ratio() - 1.0).abs() < 0.2, "{:?}", outcome.little);
    }
}

#[test]
fn the_next_call_is_due_one_think_time_after_the_last_reply() {
    let server = Scripted::echo();
    for (think, name) in [
        (Think::None, "none"),
        (Think::Constant(Duration::from_millis(7)), "constant"),
        (
            Think::Exponential {
                mean: Duration::from_millis(5),
                seed: 1,
            },
            "exponential",
        ),
    ] {
        let outcome = run(UsersPlan {
            think,
            ..plan(server.address, &[&[0; 20], &[1; 20]], LISTS)
        });
        assert_eq!(outcome.counts.succeeded, 40);
        for requests in by_connection(&outcome) {
            let pauses: Vec<_> = requests.windows(2).map(|w| w[1].intended_ns - w[0].done_ns).collect();
            match name {
                "none" => assert!(pauses.iter().all(|p| *p == 0), "{pauses:?}"),
                "constant" => assert!(pauses.iter().all(|p| *p == 7_000_000), "{pauses:?}"),
                _ => assert!(pauses.iter().collect::<BTreeSet<_>>().len() > 10, "{pauses:?}"),
            }
            assert!(requests.iter().all(|r| r.sent_ns.unwrap() >= r.intended_ns));
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_think_times() {
    let server = Scripted::echo();
    let pauses = || {
        let think = Think::Exponential {
            mean: Duration::from_millis(2),
            seed: 9,
        };
        let outcome = run(UsersPlan {
            think,
            ..plan(server.address, &[&[0; 10]], LISTS)
        });
        let requests: Vec<_> = requests(&outcome).into_iter().collect();
        requests
            .windows(2)
            .map(|w| w[1].intended_ns - w[0].done_ns)
            .collect::<Vec<_>>()
    };
    assert_eq!(pauses(), pauses());
}

#[test]
fn a_window_follows_the_warm_up_and_nothing_is_due_after_it() {
    let server = Scripted::echo();
    let outcome = run(plan(server.address, &[&[0, 1], &[2]], window(100, 300)));
    let (counts, all) = (&outcome.counts, requests(&outcome).into_iter().collect::<Vec<_>>());
    assert_eq!((counts.failed(), counts.due), (0, counts.succeeded));
    assert!(counts.due > 2 && outcome.warm_up.due > 0);
    assert!(
        all.iter()
            .all(|r| r.warm_up == (r.intended_ns < 100_000_000) && r.intended_ns < 400_000_000)
    );
    assert_eq!(all.len() as u64, counts.due + outcome.warm_up.due);
    assert_eq!(outcome.window, 100_000_000..400_000_000);
}

#[test]
fn the_first_calls_of_a_script_can_be_warm_up() {
    let server = Scripted::echo();
    let extent = Extent::Lists {
        warm_up_calls: 2,
        at_most: Duration::from_secs(60),
    };
    let outcome = run(plan(server.address, &[&[0, 1, 2, 3], &[4, 4, 3]], extent));
    let labels = |warm_up| {
        let mut labels: Vec<_> = requests(&outcome)
            .into_iter()
            .filter(|r| r.warm_up == warm_up)
            .map(|r| r.label)
            .collect();
        labels.sort_unstable();
        labels
    };
    assert_eq!((labels(true), labels(false)), (vec![0, 1, 4, 4], vec![2, 3, 3]));
    let first = requests(&outcome)
        .into_iter()
        .filter(|r| !r.warm_up)
        .map(|r| r.intended_ns)
        .min();
    assert_eq!(Some(outcome.window.start), first);
}

#[test]
fn a_script_ends_at_the_maximum_duration() {
    let server = Scripted::echo();
    let extent = Extent::Lists {
        warm_up_calls: 0,
        at_most: Duration::from_millis(300),
    };
    let outcome = run(UsersPlan {
        think: Think::Constant(Duration::from_millis(40)),
        ..plan(server.address, &[&[0; 1000]], extent)
    });
    assert!((1..=8).contains(&outcome.counts.due), "{:?}", outcome.counts);
    assert_eq!(outcome.counts.failed(), 0);
}

#[test]
fn one_connection_per_call() {
    let server = Scripted::start(vec![Action::Send(GOOD.to_vec()), Action::Close]);
    let (mut calls, labels) = calls(server.address, 1, false);
    calls[0].expect.body = BodyRule::Prefix(b"AAA".as_slice().into());
    let user = Script {
        calls: vec![0; 10],
        repeat: false,
    };
    let outcome = run(UsersPlan {
        keep_alive: false,
        timeout: Duration::from_secs(20),
        ..UsersPlan::new(calls, labels, vec![user], LISTS)
    });
    assert_eq!(
        (outcome.counts.succeeded, outcome.counts.failed()),
        (10, 0),
        "{:?}",
        outcome.counts
    );
    assert_eq!(by_connection(&outcome).len(), 10);
    assert!(requests(&outcome).into_iter().all(|r| r.connected_ns.is_some()));
}

#[test]
fn users_continue_after_incorrect_replies() {
    let send = |text: &str| Action::Send(text.as_bytes().to_vec());
    for (kind, script) in [
        (
            ErrorKind::WrongBody,
            vec![send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n/9")],
        ),
        (
            ErrorKind::WrongStatus,
            vec![send("HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n/0")],
        ),
        (ErrorKind::Reset, vec![Action::Reset]),
        (ErrorKind::ClosedEarly, vec![Action::Close]),
        (ErrorKind::Malformed, vec![send("garbage\r\n")]),
    ] {
        let server = Scripted::start(script);
        let outcome = run(plan(server.address, &[&[0; 5], &[0; 5]], LISTS));
        assert_eq!(outcome.counts.errors().collect::<Vec<_>>(), vec![(kind, 10)]);
    }
}

#[test]
fn connection_errors_are_retried_after_a_pause() {
    let free = SocketAddr::from(([127, 0, 0, 1], testkit::free_port()));
    let outcome = run(plan(free, &[&[0]], window(0, 300)));
    let refused = outcome.counts.of(ErrorKind::ConnectRefused);
    assert_eq!(refused, outcome.counts.due);
    assert!((1..=30).contains(&refused), "{refused} in 300 ms with pauses of 10 ms");
}

#[test]
fn cancellation_ends_the_load_with_the_results_so_far() {
    let server = Scripted::start(vec![Action::Hold]);
    let control = Arc::new(Control::new());
    let engine = Users::new(plan(server.address, &[&[0], &[1]], window(0, 60_000))).unwrap();
    let watched = Arc::clone(&control);
    let load = std::thread::spawn(move || engine.run(&watched).unwrap());
    let start = Instant::now();
    while control.progress().sent < 2 {
        assert!(start.elapsed() < Duration::from_secs(20), "nothing was sent");
        std::thread::sleep(Duration::from_millis(5));
    }
    control.cancel();
    let outcome = load.join().unwrap();
    assert!(start.elapsed() < Duration::from_secs(30));
    assert!(outcome.cancelled);
    assert_eq!(
        outcome.counts.errors().collect::<Vec<_>>(),
        vec![(ErrorKind::Cancelled, 2)]
    );
}
