//! Requests that an experiment describes: methods, header fields, bodies, placeholders, mixes and expectations.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use loader::jung::AcceptedCommands;
use loader::{Control, EngineSpec, ErrorKind, Outcome, Part, build_engine};
use protocol::load::{
    Arrivals, Body, Bounds, EchoSpec, Expectation, HttpRequest, HttpRequests, LettersSpec, Limit, LoadKind, LoadSpec,
    MaxLoad, Method, RampLoad, RateLoad, RequestOrder, TargetSpec, Think, Timing, UserRequests, UsersLoad, Wait,
};
use serde_json::json;

use crate::server::{Received, Server, reply};
use crate::service::Service;

const TIMING: Timing = Timing {
    warm_up: Duration::ZERO,
    duration: Duration::from_millis(400),
    timeout: Duration::from_secs(10),
};

pub fn rate(keep_alive: bool, cpus: Vec<u32>) -> LoadKind {
    LoadKind::Rate(RateLoad {
        rate_per_s: 500.0,
        timing: TIMING,
        arrivals: Arrivals::Uniform,
        keep_alive,
        cpus,
    })
}

pub fn users(users: u32, each: u32, keep_alive: bool, cpus: Vec<u32>) -> LoadKind {
    LoadKind::Users(UsersLoad {
        users,
        timing: Timing {
            duration: Duration::from_secs(60),
            ..TIMING
        },
        requests: Some(UserRequests { each, warm_up: 0 }),
        think: Think::Constant(Duration::from_micros(200)),
        ramp_up: Duration::ZERO,
        keep_alive,
        cpus,
    })
}

fn max() -> LoadKind {
    LoadKind::Max(MaxLoad {
        connections: 4,
        timing: TIMING,
        keep_alive: true,
        cpus: vec![],
    })
}

/// A ramp with one step, which is measured twice.
fn ramp() -> LoadKind {
    LoadKind::Ramp(RampLoad {
        bounds: Bounds {
            from: 100.0,
            to: 100.0,
            step: 1.0,
            resolution: 0.1,
            repeats: 0,
        },
        limit: Limit {
            errors: 1.0,
            response: None,
            quantile: 0.5,
        },
        step: TIMING,
        timing: TIMING,
        arrivals: Arrivals::Uniform,
        keep_alive: true,
        cpus: vec![],
    })
}

pub fn run_part(kind: LoadKind, http: &HttpRequests, address: SocketAddr, part: Part) -> Outcome {
    let load = LoadSpec {
        kind,
        wait: Wait::Sleep,
        keep_awake: true,
        http: http.clone(),
    };
    let spec = EngineSpec {
        load: &load,
        part,
        seed: 7,
        target: &TargetSpec::Echo(EchoSpec {}),
        address,
    };
    let engine = build_engine(spec, &AcceptedCommands::default()).unwrap();
    engine.run(&Control::new()).unwrap()
}

pub fn run(kind: LoadKind, http: &HttpRequests, address: SocketAddr) -> Outcome {
    run_part(kind, http, address, Part::WHOLE)
}

pub fn one(request: HttpRequest) -> HttpRequests {
    HttpRequests {
        requests: vec![request],
        ..HttpRequests::default()
    }
}

fn template() -> HttpRequest {
    HttpRequest {
        method: Method::Post,
        headers: vec![("X-Id".into(), "{uuid}".into())],
        body: Some(Body::of(
            b"{\"id\": {seq}, \"n\": {random:1-100}, \"t\": \"{letters:8}\"}".to_vec(),
        )),
        template: true,
        ..HttpRequest::get("/items/{seq}")
    }
}

#[test]
fn every_method_arrives_as_described() {
    let server = Server::start(|request| reply(request, 200, "done"));
    let requests = Method::ALL.map(|method| HttpRequest {
        label: method.as_str().to_owned(),
        method,
        headers: vec![
            ("X-Of".into(), method.as_str().into()),
            ("User-Agent".into(), "mine".into()),
        ],
        body: Some(Body::of(
            format!("body of {}\r\n\0\u{e4}", method.as_str()).into_bytes(),
        )),
        expect: Some(Expectation::default()),
        ..HttpRequest::get("/a?b=c")
    });
    let http = HttpRequests {
        requests: requests.to_vec(),
        host: Some("shop.example".into()),
        ..HttpRequests::default()
    };
    for keep_alive in [true, false] {
        let outcome = run(users(2, 14, keep_alive, vec![]), &http, server.address);
        assert_eq!(
            (outcome.counts.succeeded, outcome.counts.failed()),
            (28, 0),
            "{outcome:?}"
        );
        assert_eq!(outcome.labels.len(), 7);
    }
    let received = server.received();
    assert_eq!(received.len(), 56);
    for method in Method::ALL {
        let same: Vec<_> = received
            .iter()
            .filter(|request| request.method() == method.as_str())
            .collect();
        assert_eq!(same.len(), 8, "two rounds of two users, twice");
        for request in same {
            assert_eq!(request.path(), "/a?b=c");
            assert_eq!(
                request.body,
                format!("body of {}\r\n\0\u{e4}", method.as_str()).as_bytes()
            );
            let fields = ["Host", "X-Of", "User-Agent", "Accept"].map(|name| request.field(name));
            assert_eq!(
                fields,
                [Some("shop.example"), Some(method.as_str()), Some("mine"), Some("*/*")]
            );
        }
    }
}

/// The bodies of all requests by their path.
fn bodies(server: &Server) -> BTreeMap<String, BTreeSet<Received>> {
    let mut bodies: BTreeMap<String, BTreeSet<Received>> = BTreeMap::new();
    for mut request in server.received() {
        // The only part that depends on the server.
        request.head = request.head.lines().filter(|line| !line.starts_with("Host")).collect();
        bodies
            .entry(request.head.split(' ').nth(1).unwrap().to_owned())
            .or_default()
            .insert(request);
    }
    bodies
}

#[test]
fn values_depend_on_seed_and_number_whatever_sends_them() {
    let requests = |kind: &LoadKind, parts: &[Part]| {
        let server = Server::start(|request| reply(request, 200, "done"));
        for &part in parts {
            let outcome = run_part(kind.clone(), &one(template()), server.address, part);
            assert_eq!(outcome.counts.failed(), 0, "{:?}", outcome.counts);
        }
        bodies(&server)
    };
    let halves = [Part::new(0, 2).unwrap(), Part::new(1, 2).unwrap()];
    let open = requests(&rate(true, vec![]), &[Part::WHOLE]);
    assert_eq!(open.len(), 200, "every number is another path");
    assert!(open.values().all(|same| same.len() == 1));
    assert_eq!(
        open,
        requests(&rate(true, vec![0, 0]), &[Part::WHOLE]),
        "on two threads"
    );
    assert_eq!(open, requests(&rate(true, vec![]), &halves), "on two loaders");
    let closed = requests(&users(4, 50, true, vec![]), &[Part::WHOLE]);
    assert_eq!(
        closed,
        requests(&users(4, 50, true, vec![0, 0]), &halves),
        "on two threads of two loaders"
    );
    assert_eq!(open, closed, "the numbers of an open and of a closed loop");
    let max = requests(&max(), &[Part::WHOLE]);
    for (path, requests) in max {
        let Some(same) = open.get(&path) else { continue };
        assert_eq!(&requests, same, "{path}");
    }
    let (one_path, first) = open.first_key_value().unwrap();
    let body: serde_json::Value = serde_json::from_slice(&first.first().unwrap().body).unwrap();
    assert_eq!(format!("/items/{}", body["id"]), *one_path);
}

#[test]
fn a_mix_is_exact_and_a_sequence_keeps_its_order() {
    let server = Server::start(|request| reply(request, 200, "done"));
    let request = |path: &str, weight| HttpRequest {
        label: path.into(),
        weight,
        ..HttpRequest::get(path)
    };
    let mut http = HttpRequests {
        requests: vec![request("/a", 30), request("/b", 10)],
        ..HttpRequests::default()
    };
    for kind in [rate(true, vec![0, 0]), users(4, 50, true, vec![])] {
        let outcome = run(kind, &http, server.address);
        let labels = crate::requests(&outcome).into_iter().map(|request| request.label);
        let counts = labels.fold([0; 2], |mut counts, label| {
            counts[usize::from(label)] += 1;
            counts
        });
        // Rounds of four: those of a user may be cut at its end.
        assert!(
            counts[0] + counts[1] == 200 && (146..=154).contains(&counts[0]),
            "{counts:?}"
        );
    }
    http.order = RequestOrder::Sequence;
    let sequence = Server::start(|request| reply(request, 200, "done"));
    run(users(1, 8, true, vec![]), &http, sequence.address);
    let paths: Vec<_> = sequence
        .received()
        .iter()
        .map(|request| request.path().to_owned())
        .collect();
    assert_eq!(paths, ["/a", "/a", "/a", "/b", "/a", "/a", "/a", "/b"]);
}

#[test]
fn expectations_hold_for_every_framing() {
    const USER: &str = r#"{"user": {"id": 7, "name": "Ada"}}"#;
    let server = Server::start(|request| match request.path() {
        "/chunked" => {
            let (a, b) = USER.split_at(9);
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            format!(
                "{head}{:x}\r\n{a}\r\n{:x};x=y\r\n{b}\r\n0\r\nT: v\r\n\r\n",
                a.len(),
                b.len()
            )
            .into_bytes()
        }
        "/close" => format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{USER}").into_bytes(),
        "/moved" => "HTTP/1.1 302 Found\r\nLocation: /length\r\nContent-Length: 0\r\n\r\n".into(),
        _ => reply(request, 200, USER),
    });
    let right = Expectation {
        contains: Some("Ada".into()),
        regex: Some(r#""id": \d+"#.into()),
        json: [("/user/id".to_owned(), json!(7))].into(),
        ..Expectation::default()
    };
    let wrong = Expectation {
        json: [("/user/id".to_owned(), json!(8))].into(),
        ..Expectation::default()
    };
    for path in ["/length", "/chunked", "/close"] {
        for keep_alive in [true, false] {
            for (expect, kind) in [(&right, None), (&wrong, Some(ErrorKind::WrongBody))] {
                let request = HttpRequest {
                    expect: Some(expect.clone()),
                    ..HttpRequest::get(path)
                };
                let outcome = run(users(2, 10, keep_alive, vec![]), &one(request), server.address);
                let errors: Vec<_> = outcome.counts.errors().collect();
                assert_eq!(
                    errors,
                    kind.map(|kind| (kind, 20)).into_iter().collect::<Vec<_>>(),
                    "{path}"
                );
            }
        }
    }
    let moved = |status| HttpRequest {
        expect: Some(Expectation {
            status: vec![status],
            ..Expectation::default()
        }),
        ..HttpRequest::get("/moved")
    };
    let before = server.received().len();
    assert_eq!(
        run(users(1, 5, true, vec![]), &one(moved(302)), server.address)
            .counts
            .succeeded,
        5
    );
    let outcome = run(users(1, 5, true, vec![]), &one(moved(200)), server.address);
    assert_eq!(outcome.counts.of(ErrorKind::WrongStatus), 5);
    assert_eq!(server.received().len() - before, 10, "no redirect was followed");
}

/// Every engine, over IPv6, on the service under test.
#[test]
fn every_engine_sends_the_requests_of_the_load() {
    let server = Server::at("[::1]:0", |request| reply(request, 201, "done"));
    let request = HttpRequest {
        method: Method::Put,
        body: Some(Body::of(b"new".to_vec())),
        expect: Some(Expectation {
            status: vec![201],
            length: Some(4),
            ..Expectation::default()
        }),
        ..HttpRequest::get("/item")
    };
    for kind in [rate(false, vec![]), users(2, 5, true, vec![]), max(), ramp()] {
        let before = server.received().len();
        let outcome = run(kind, &one(request.clone()), server.address);
        let received = &server.received()[before..];
        assert!(
            !received.is_empty() && outcome.counts.failed() == 0,
            "{:?}",
            outcome.counts
        );
        assert!(
            received
                .iter()
                .all(|request| request.method() == "PUT" && request.body == b"new")
        );
        assert_eq!(received[0].field("Host"), Some(server.address.to_string().as_str()));
    }
}

#[test]
fn the_workload_answers_get_head_and_post() {
    let service = Service::start(1000);
    let request = |method, expect| HttpRequest {
        label: format!("{method:?}"),
        method,
        body: (method == Method::Post).then(|| Body::of(vec![b'x'; 100_000])),
        expect,
        ..HttpRequest::get("/?a")
    };
    let http = HttpRequests {
        requests: vec![
            request(Method::Get, None),
            request(Method::Head, Some(Expectation::default())),
            request(Method::Post, None),
        ],
        ..HttpRequests::default()
    };
    let load = LoadSpec {
        kind: users(3, 30, true, vec![]),
        wait: Wait::Sleep,
        keep_awake: true,
        http,
    };
    let spec = EngineSpec {
        load: &load,
        part: Part::WHOLE,
        seed: 1,
        target: &TargetSpec::Letters(LettersSpec { count: 1000 }),
        address: service.address,
    };
    let engine = build_engine(spec, &AcceptedCommands::default()).unwrap();
    let outcome = engine.run(&Control::new()).unwrap();
    assert_eq!(
        (outcome.counts.succeeded, outcome.counts.failed()),
        (90, 0),
        "{:?}",
        outcome.counts
    );
}
