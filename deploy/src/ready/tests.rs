//! Tests against real listeners.

use protocol::AttemptId;
use protocol::spec::{
    ConnectsProbe, DnsProbe, HttpProbe, NativeSpec, OutputProbe, PlatformSpec, RedisProbe, Resources, StartedProbe,
    UdpProbe,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::Program;

/// An address at which nothing listens.
fn unused() -> SocketAddr {
    ([127, 0, 0, 1], testkit::free_port()).into()
}

const LONG: Duration = Duration::from_secs(60);

fn service(name: &str, body_bytes: Option<u64>) -> Service {
    let ready = Probe::Http(HttpProbe {
        path: "/".into(),
        status: 200,
        body_bytes,
        body: None,
    });
    with(name, ready)
}

fn with(name: &str, ready: Probe) -> Service {
    Service {
        name: name.parse().unwrap(),
        port: Some(1),
        ready: ready.into(),
        program: Program::Workload(Vec::new()),
    }
}

/// Waits for services of a deployment whose logs are nowhere.
async fn wait(services: &[Service], started: &[Started], patience: Duration) -> Result<Vec<FirstReply>, NotReady> {
    super::wait(&deployment(services, "/nowhere"), &runner(), started, patience).await
}

fn deployment(services: &[Service], logs: &str) -> DeploymentSpec {
    DeploymentSpec {
        attempt: AttemptId::fresh(),
        platform: PlatformSpec::Native(NativeSpec {}),
        services: services.to_vec(),
        resources: Resources::default(),
        logs: logs.into(),
        grace: LONG,
    }
}

fn runner() -> Name {
    "lab".parse().unwrap()
}

fn started(name: &str, endpoint: SocketAddr) -> Started {
    Started {
        service: name.parse().unwrap(),
        endpoint: Some(endpoint),
        process_after: Duration::ZERO,
        pid: 1,
    }
}

/// A server that sends the replies in turn, and repeats the last one.
async fn serve(replies: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut next = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            let reply = replies[next.min(replies.len() - 1)];
            next += 1;
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(reply.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn the_first_correct_reply_counts() {
    let address = serve(&[
        "",
        "HTTP/1.1 503 Later\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nA",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nAA",
    ])
    .await;
    let before = Instant::now();
    let replies = wait(&[service("tcp", Some(2))], &[started("tcp", address)], LONG)
        .await
        .unwrap();
    assert_eq!(replies[0].service.as_str(), "tcp");
    assert!(replies[0].at > before);
}

#[tokio::test]
async fn a_wrong_reply_is_named_at_the_deadline() {
    let status = serve(&["HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"]).await;
    let body = serve(&["HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nA"]).await;
    for (address, expected) in [
        (status, "status 500, expected 200"),
        (body, "a body of 1 bytes, expected 2"),
    ] {
        let error = wait(
            &[service("tcp", Some(2))],
            &[started("tcp", address)],
            Duration::from_millis(300),
        )
        .await
        .unwrap_err()
        .to_string();
        assert!(
            error.contains(expected) && error.contains(&address.to_string()),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_refused_connection_is_named() {
    let free = unused();
    let error = wait(
        &[service("tcp", None)],
        &[started("tcp", free)],
        Duration::from_millis(100),
    )
    .await
    .unwrap_err();
    assert!(
        error.to_string().to_lowercase().contains("connection refused"),
        "{error}"
    );
}

#[tokio::test]
async fn a_service_that_comes_up_late_is_found() {
    let free = unused();
    let late = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let listener = TcpListener::bind(free).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await
            .unwrap();
    };
    let (services, begun) = ([service("tcp", Some(0))], [started("tcp", free)]);
    let (reply, ()) = tokio::join!(wait(&services, &begun, LONG), late);
    reply.unwrap();
}

/// A reply may take longer than the interval between requests; and a forwarder to a guest that is not up yet accepts the first request and loses it.
#[tokio::test]
async fn a_slow_reply_is_waited_for_and_a_lost_request_is_not() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for (lost, slow) in [(0, OVERDUE * 5 / 2), (2, Duration::ZERO)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let mut held = Vec::new();
            for number in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 1024]).await;
                if number < lost {
                    held.push(stream);
                    continue;
                }
                // Each reply takes its time, whatever else is pending.
                tokio::spawn(async move {
                    sleep(slow).await;
                    let _ = stream.write_all(ok.as_bytes()).await;
                });
            }
        });
        let replies = wait(&[service("tcp", Some(0))], &[started("tcp", address)], LONG).await;
        replies.unwrap();
        server.abort();
    }
}

#[tokio::test]
async fn one_of_two_is_named() {
    let good = serve(&["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]).await;
    let bad = serve(&["nonsense\r\n\r\n"]).await;
    let services = [service("good", Some(0)), service("bad", Some(0))];
    let error = wait(
        &services,
        &[started("good", good), started("bad", bad)],
        Duration::from_millis(200),
    )
    .await
    .unwrap_err();
    assert_eq!(error.service.as_str(), "bad");
    assert!(error.last.contains("not HTTP"), "{error}");
}

#[tokio::test]
async fn a_started_probe_needs_no_address_and_a_connect_probe_no_reply() {
    let (address, _listener) = silent().await;
    let mut services = [service("silent", None), service("listener", None)];
    services[0].ready = Probe::Started(StartedProbe {}).into();
    services[1].ready = Probe::Connects(ConnectsProbe {}).into();
    let silent = Started {
        endpoint: None,
        ..started("silent", address)
    };
    let replies = wait(&services, &[silent.clone(), started("listener", address)], LONG)
        .await
        .unwrap();
    assert_eq!(replies.len(), 2);
    services[0].ready = Probe::Connects(ConnectsProbe {}).into();
    let error = wait(&services, &[silent], LONG).await.unwrap_err().to_string();
    assert!(
        error.contains("silent at no address") && error.contains("no address to probe"),
        "{error}"
    );
}

/// A listener that accepts connections and says nothing.
async fn silent() -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accept = async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    };
    (address, tokio::spawn(accept))
}

#[tokio::test]
async fn a_connection_that_is_closed_at_once_is_a_forwarder_without_a_service() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let services = [with("proxy", Probe::Connects(ConnectsProbe {}))];
    let error = wait(&services, &[started("proxy", address)], Duration::from_millis(200)).await;
    assert!(error.unwrap_err().last.contains("closed at once"));
}

#[tokio::test]
async fn a_body_must_match_its_pattern() {
    let address = serve(&[
        "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nstarting",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{up\r\n6\r\n: yes}\r\n0\r\n\r\n",
    ])
    .await;
    let service = |pattern: &str| {
        let probe = HttpProbe {
            path: "/".into(),
            status: 200,
            body_bytes: None,
            body: Some(pattern.parse().unwrap()),
        };
        [with("web", Probe::Http(probe))]
    };
    let begun = [started("web", address)];
    wait(&service("^.up: yes.$"), &begun, LONG).await.unwrap();
    let error = wait(&service("down"), &begun, Duration::from_millis(100))
        .await
        .unwrap_err();
    assert!(
        error.last.contains("9 bytes does not match \"down\"") && error.last.contains("{up"),
        "{error}"
    );
}

#[tokio::test]
async fn ping_is_answered_by_pong_after_the_data_is_loaded() {
    let address = serve(&["", "-LOADING Redis is loading the dataset in memory\r\n", "+PONG\r\n"]).await;
    let services = [with("redis", Probe::Redis(RedisProbe {}))];
    wait(&services, &[started("redis", address)], LONG).await.unwrap();
    let denied = serve(&["-NOAUTH Authentication required.\r\n"]).await;
    let error = wait(&services, &[started("redis", denied)], Duration::from_millis(100)).await;
    assert!(error.unwrap_err().last.contains("NOAUTH"));
}

#[tokio::test]
async fn a_dns_query_is_answered_without_an_error() {
    let respond = |code: u8| async move {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut query = [0; 512];
            while let Ok((length, asker)) = socket.recv_from(&mut query).await {
                assert_eq!(&query[12..length], b"\x03www\x07example\0\0\x01\0\x01");
                let response = [&query[..2], &[0x85, 0x80 | code], &query[4..length]].concat();
                let _ = socket.send_to(&response, asker).await;
            }
        });
        address
    };
    let name = "www.example".to_owned();
    let services = [with("named", Probe::Dns(DnsProbe { name }))];
    wait(&services, &[started("named", respond(0).await)], LONG)
        .await
        .unwrap();
    let missing = started("named", respond(3).await);
    let error = wait(&services, &[missing], Duration::from_millis(100)).await;
    assert!(error.unwrap_err().last.contains("code 3"));
}

#[tokio::test]
async fn a_line_of_output_is_waited_for() {
    let logs = tempfile::tempdir().unwrap();
    let line = "^listening on [0-9]+$".parse().unwrap();
    let mut service = with("job", Probe::Output(OutputProbe { line }));
    service.ready.interval_ms = Some(1);
    service.ready.timeout_ms = Some(50);
    let deployment = |service: &Service| deployment(std::slice::from_ref(service), logs.path().to_str().unwrap());
    let begun = [Started {
        endpoint: None,
        ..started("job", "127.0.0.1:1".parse().unwrap())
    }];
    let error = super::wait(&deployment(&service), &runner(), &begun, LONG)
        .await
        .unwrap_err();
    assert!(
        error.last.contains("no line of its output") && error.waited == Duration::from_millis(50),
        "{error}"
    );
    service.ready.timeout_ms = None;
    let deployment = deployment(&service);
    let write = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        std::fs::write(logs.path().join("job.log"), "starting\nlistening on 80\n").unwrap();
    };
    let runner = runner();
    let (reply, ()) = tokio::join!(super::wait(&deployment, &runner, &begun, LONG), write);
    reply.unwrap();
}

/// Answers packets in turn, and repeats the last answer; an empty answer is a lost packet.
async fn answer(answers: &'static [&'static str]) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut next = 0;
        while let Ok((_, asker)) = socket.recv_from(&mut [0; 64]).await {
            let answer = answers[next.min(answers.len() - 1)];
            next += 1;
            if !answer.is_empty() {
                let _ = socket.send_to(answer.as_bytes(), asker).await;
            }
        }
    });
    address
}

fn udp_service(name: &str) -> Service {
    let probe = UdpProbe {
        packet: "12345678".into(),
        answer: "AA12345678".into(),
    };
    with(name, Probe::Udp(probe))
}

#[tokio::test]
async fn the_first_correct_answer_counts_though_some_are_lost_and_some_are_wrong() {
    let address = answer(&["", "", "AA", "", "AA12345678"]).await;
    let replies = wait(&[udp_service("udp")], &[started("udp", address)], LONG)
        .await
        .unwrap();
    assert_eq!(replies[0].service.as_str(), "udp");
}

#[tokio::test]
async fn a_wrong_answer_to_a_packet_is_named_at_the_deadline() {
    let silent = answer(&[""]).await;
    // As if the last answers were overdue.
    let wrong = answer(&["AAA", "AAA", ""]).await;
    let closed = unused();
    for (address, expected) in [
        (silent, "no answer"),
        (wrong, "expected an answer of 10 bytes, got another of 3"),
        (closed, "onnection refused"),
    ] {
        let patience = Duration::from_millis(300);
        let error = wait(&[udp_service("udp")], &[started("udp", address)], patience)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_udp_service_that_comes_up_late_is_found() {
    let free = unused();
    let late = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let socket = UdpSocket::bind(free).await.unwrap();
        let (_, asker) = socket.recv_from(&mut [0; 64]).await.unwrap();
        socket.send_to(b"AA12345678", asker).await.unwrap();
    };
    let (services, begun) = ([udp_service("udp")], [started("udp", free)]);
    let (reply, ()) = tokio::join!(wait(&services, &begun, LONG), late);
    reply.unwrap();
}
