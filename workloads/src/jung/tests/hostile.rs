//! Hostile requests: the API gateway replies correctly and stays available.

use std::net::SocketAddr;

use axum::http::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::api::{anna, happy_bus, serve};

/// Sends raw bytes and returns the start of the reply.
async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may close the connection before everything is sent.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply).await;
    String::from_utf8_lossy(&reply[..reply.len().min(40)]).into_owned()
}

async fn assert_up(address: SocketAddr) {
    let (status, _) = anna(address).send(Method::GET, "/users/anna", None).await.unwrap();
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn invalid_bodies_are_400() {
    let address = serve(happy_bus());
    let mut client = anna(address);
    for body in [
        "",
        "{",
        "null",
        "[]",
        "{}",
        r#"{"value":"hot"}"#,
        r#"{"value":1e999}"#,
        r#"{"value":NaN}"#,
        r#"{"value":1,"more":2}"#,
        r#"{"value":1}{"#,
        "\u{0}\u{0}",
    ] {
        let path = "/users/anna/devices/d1/commands";
        let (status, reply) = client.send(Method::POST, path, Some(body.into())).await.unwrap();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert!(reply.starts_with(b"{\"error\":\"malformed\""), "{reply:?}");
    }
    let deep = "[".repeat(60_000);
    let (status, _) = client.send(Method::POST, "/users", Some(deep.into())).await.unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_up(address).await;
}

#[tokio::test]
async fn invalid_paths_and_queries_are_400() {
    let address = serve(happy_bus());
    let mut client = anna(address);
    for path in [
        "/users/a%20b",
        "/users/%00",
        "/users/%ff",
        "/users/..%2f..%2fetc",
        "/users/anna/devices/%3Cscript%3E",
        "/users/anna/devices/d1/readings?page=-1",
        "/users/anna/devices/d1/readings?page=99999999999",
        "/users/anna/devices/d1/readings?size=many",
        "/users/anna/devices/d1/readings?sort=up",
    ] {
        let (status, _) = client.send(Method::GET, path, None).await.unwrap();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
    }
    assert_up(address).await;
}

#[tokio::test]
async fn oversized_bodies_are_413() {
    let address = serve(happy_bus());
    let mut request = b"POST /users HTTP/1.1\r\nHost: j\r\nContent-Length: 10000000\r\n\r\n".to_vec();
    request.resize(request.len() + 10_000_000, b'a');
    assert!(raw(address, &request).await.starts_with("HTTP/1.1 413 "));
    let mut chunked = b"POST /users HTTP/1.1\r\nHost: j\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..200 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.resize(chunked.len() + 0x10000, b'a');
        chunked.extend_from_slice(b"\r\n");
    }
    assert!(
        raw(address, &chunked).await.starts_with("HTTP/1.1 413 "),
        "a body of unknown length"
    );
    assert_up(address).await;
}

#[tokio::test]
async fn oversized_headers_are_431() {
    let address = serve(happy_bus());
    let many: String = (0..5000).map(|number| format!("x-{number}: y\r\n")).collect();
    let long = format!("x: {}\r\n", "y".repeat(1_000_000));
    for headers in [many, long] {
        let request = format!("GET /users/anna HTTP/1.1\r\nHost: j\r\n{headers}\r\n");
        assert!(raw(address, request.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    }
    assert_up(address).await;
}

#[tokio::test]
async fn invalid_http_is_400_or_closes_the_connection() {
    let address = serve(happy_bus());
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /users HTTP/1.1\r\nHost: j\r\nContent-Length: -1\r\n\r\n",
        b"POST /users HTTP/1.1\r\nHost: j\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"",
    ] {
        let reply = raw(address, bytes).await;
        assert!(
            reply.is_empty() || reply.starts_with("HTTP/1.1 400 "),
            "{bytes:?}: {reply}"
        );
    }
    assert_up(address).await;
}

#[tokio::test]
async fn slow_clients_do_not_block_others() {
    let address = serve(happy_bus());
    let mut held = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /users/anna HT").await.unwrap();
        held.push(stream);
    }
    assert_up(address).await;
}
