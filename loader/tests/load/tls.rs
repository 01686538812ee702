//! Loads over TLS, against rustls and nginx.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use loader::tls::check_handshake;
use loader::{ErrorKind, Outcome};
use protocol::load::{Body, Expectation, HttpRequest, HttpRequests, LoadKind, Method, TlsSpec, TlsStats, Trust};
use rustls::version::{TLS12, TLS13};
use testkit::process::Running;

use crate::http::{one, rate, run, users};
use crate::server::{Identity, Server, reply};

fn http(trust: Trust, session_reuse: bool, request: HttpRequest) -> HttpRequests {
    HttpRequests {
        host: Some("shop.example".into()),
        tls: Some(TlsSpec { trust, session_reuse }),
        ..one(request)
    }
}

fn tls(outcome: &Outcome) -> &TlsStats {
    outcome.tls.as_ref().unwrap()
}

#[test]
fn handshakes_are_full_or_resumed_as_the_load_says() {
    let identity = Identity::of(&["shop.example"]);
    for version in [&TLS13, &TLS12] {
        let server = Server::with_tls(identity.server(version, 2), |request| reply(request, 200, "done"));
        for reuse in [true, false] {
            let http = http(Trust::Ca(identity.ca.clone()), reuse, HttpRequest::get("/"));
            let outcome = run(users(2, 20, false, vec![]), &http, server.address);
            assert_eq!(outcome.counts.succeeded, 40, "{:?}", outcome.counts);
            let TlsStats { full, resumed, suites } = tls(&outcome);
            assert_eq!(full + resumed, 40, "one connection for each request");
            assert!(
                if reuse { *full <= 4 } else { *resumed == 0 },
                "{full} full, {resumed} resumed"
            );
            let name = format!("{:?}", version.version);
            assert!(suites.keys().all(|suite| suite.starts_with(&name)), "{suites:?}");
            let connects = &outcome.histograms.connect;
            assert_eq!(connects.len(), 40);
            let kept = run(users(2, 20, true, vec![]), &http, server.address);
            assert_eq!((kept.counts.succeeded, tls(&kept).full + tls(&kept).resumed), (40, 2));
        }
    }
}

#[test]
fn an_open_loop_opens_its_pool_over_tls() {
    let identity = Identity::of(&["shop.example"]);
    let server = Server::with_tls(identity.server(&TLS13, 2), |request| reply(request, 200, "done"));
    let http = http(Trust::Ca(identity.ca.clone()), true, HttpRequest::get("/"));
    for (keep_alive, cpus) in [(true, vec![]), (false, vec![0, 0])] {
        let outcome = run(rate(keep_alive, cpus), &http, server.address);
        assert_eq!(
            (outcome.counts.succeeded, outcome.counts.failed()),
            (200, 0),
            "{:?}",
            outcome.counts
        );
        let handshakes = tls(&outcome).full + tls(&outcome).resumed;
        assert!(
            if keep_alive {
                handshakes >= 16
            } else {
                handshakes == 200
            },
            "{handshakes}"
        );
    }
}

/// Bodies larger than any buffer in either direction, and replies that end with the connection.
#[test]
fn large_bodies_cross_in_both_directions() {
    let identity = Identity::of(&["shop.example"]);
    let body: String = (0..300_000)
        .map(|at| char::from(b'a' + u8::try_from(at % 23).unwrap()))
        .collect();
    let sent = body.clone();
    let server = Server::with_tls(identity.server(&TLS13, 2), move |request| {
        assert!(request.method() != "POST" || request.body == sent.as_bytes());
        match request.path() {
            "/close" => format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{sent}").into_bytes(),
            _ => reply(request, 200, &sent),
        }
    });
    for (method, path) in [(Method::Post, "/"), (Method::Get, "/close")] {
        let request = HttpRequest {
            method,
            body: (method == Method::Post).then(|| Body::of(body.clone().into_bytes())),
            expect: Some(Expectation {
                body: Some(body.clone()),
                ..Expectation::default()
            }),
            ..HttpRequest::get(path)
        };
        let http = http(Trust::Ca(identity.ca.clone()), true, request);
        let outcome = run(users(3, 5, true, vec![]), &http, server.address);
        assert_eq!(
            (outcome.counts.succeeded, outcome.counts.failed()),
            (15, 0),
            "{:?}",
            outcome.counts
        );
    }
}

/// A server without TLS, which answers a handshake as nginx would.
fn refusing() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _ = client.read(&mut [0; 4096]);
            let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    address
}

#[test]
fn a_server_that_is_not_trusted_is_refused() {
    let (identity, other) = (Identity::of(&["other.example"]), Identity::of(&["shop.example"]));
    let server = Server::with_tls(identity.server(&TLS13, 2), |request| reply(request, 200, "done"));
    let plain = refusing();
    let timeout = Duration::from_secs(5);
    for (trust, says) in [
        (Trust::Ca(other.ca), "UnknownIssuer"),
        (Trust::Ca(identity.ca), "not valid for name"),
    ] {
        let http = http(trust, true, HttpRequest::get("/"));
        let refused = check_handshake(&http, server.address, timeout).unwrap_err();
        assert!(refused.contains(says) && refused.contains("insecure"), "{refused}");
        let outcome = run(users(1, 3, true, vec![]), &http, server.address);
        assert_eq!(outcome.counts.of(ErrorKind::Tls), 3, "{:?}", outcome.counts);
    }
    let http = http(Trust::Insecure, true, HttpRequest::get("/"));
    check_handshake(&http, server.address, timeout).unwrap();
    let outcome = run(users(1, 3, true, vec![]), &http, server.address);
    assert_eq!(outcome.counts.succeeded, 3);
    let refused = check_handshake(&http, plain, timeout).unwrap_err();
    assert!(refused.contains("speaks TLS"), "{refused}");
    let outcome = run(users(1, 3, true, vec![]), &http, plain);
    assert_eq!(outcome.counts.of(ErrorKind::Tls), 3, "{:?}", outcome.counts);
}

/// A server that accepts and never answers.
#[test]
fn a_handshake_that_never_ends_times_out() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let http = http(Trust::Insecure, true, HttpRequest::get("/"));
    let kind = match users(1, 1, true, vec![]) {
        LoadKind::Users(mut load) => {
            load.timing.timeout = Duration::from_millis(50);
            LoadKind::Users(load)
        }
        kind => kind,
    };
    let outcome = run(kind, &http, address);
    assert_eq!(outcome.counts.of(ErrorKind::ConnectTimeout), 1, "{:?}", outcome.counts);
}

/// nginx with TLS on a free port.
fn nginx(folder: &Path, identity: &Identity, protocols: &str) -> (Running, SocketAddr) {
    let address = SocketAddr::from(([127, 0, 0, 1], testkit::port::free_port()));
    let place = folder.display();
    std::fs::write(folder.join("cert.pem"), &identity.certificate).unwrap();
    std::fs::write(folder.join("key.pem"), &identity.key).unwrap();
    let config = format!(
        "daemon off; master_process off; pid {place}/pid; error_log {place}/error.log;\n\
         events {{ }}\n\
         http {{ access_log off; client_body_temp_path {place}/1; proxy_temp_path {place}/2; fastcgi_temp_path {place}/3;\n\
         uwsgi_temp_path {place}/4; scgi_temp_path {place}/5;\n\
         server {{ listen {address} ssl; server_name shop.example; ssl_certificate {place}/cert.pem;\n\
         ssl_certificate_key {place}/key.pem; ssl_protocols {protocols}; ssl_session_cache shared:S:1m;\n\
         location / {{ default_type application/json; return 200 '{{\"host\": \"$host\", \"method\": \"$request_method\"}}'; }}\n\
         location /moved {{ return 301 /; }} location /none {{ return 404; }} }} }}\n",
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder).arg("-c").arg(file);
    command.arg("-e").arg(folder.join("error.log"));
    let running = Running::start("nginx", command, &folder.join("nginx.log"));
    testkit::wait::until("nginx listens", || TcpStream::connect(address).is_ok());
    (running, address)
}

#[test]
#[ignore = "needs nginx"]
fn nginx_over_tls() {
    let identity = Identity::of(&["shop.example"]);
    let request = |method, path: &str, expect| HttpRequest {
        label: format!("{method:?} {path}"),
        method,
        body: (method == Method::Post).then(|| Body::of(b"{}".to_vec())),
        expect: Some(expect),
        ..HttpRequest::get(path)
    };
    let status = |status| Expectation {
        status: vec![status],
        ..Expectation::default()
    };
    let found = |method: &str| Expectation {
        json: [
            ("/host".to_owned(), "shop.example".into()),
            ("/method".to_owned(), method.into()),
        ]
        .into(),
        ..Expectation::default()
    };
    let http = HttpRequests {
        requests: vec![
            request(Method::Get, "/", found("GET")),
            request(Method::Post, "/", found("POST")),
            request(Method::Head, "/", status(200)),
            request(Method::Get, "/moved", status(301)),
            request(Method::Get, "/none", status(404)),
        ],
        ..http(Trust::Ca(identity.ca.clone()), true, HttpRequest::get("/"))
    };
    for protocols in ["TLSv1.2", "TLSv1.3"] {
        let folder = tempfile::tempdir().unwrap();
        let (_nginx, address) = nginx(folder.path(), &identity, protocols);
        for (keep_alive, handshakes) in [(true, 4), (false, 100)] {
            let outcome = run(users(4, 25, keep_alive, vec![]), &http, address);
            assert_eq!(
                (outcome.counts.succeeded, outcome.counts.failed()),
                (100, 0),
                "{:?}",
                outcome.counts
            );
            let TlsStats { full, resumed, suites } = tls(&outcome);
            assert_eq!(full + resumed, handshakes, "{suites:?}");
            assert!(keep_alive || *resumed >= 80, "{full} full, {resumed} resumed");
            let version = protocols.replace('.', "_");
            assert!(suites.keys().all(|suite| suite.starts_with(&version)), "{suites:?}");
        }
        let open = run(rate(true, vec![]), &http, address);
        assert_eq!(
            (open.counts.succeeded, open.counts.failed()),
            (200, 0),
            "{:?}",
            open.counts
        );
    }
}
