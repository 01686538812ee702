//! An HTTP GET request, and the check of its reply.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use protocol::spec::HttpProbe;
use regex::bytes::Regex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Timeout of a connection. The kernel repeats a packet that was dropped while a bridge or guest came up only after a second, which would count as
/// start-up time: a new attempt is quicker.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(250);
/// Timeout of a reply: a service that first calls others can take seconds when it is emulated on a busy host. Other requests are sent meanwhile.
const REPLY_TIMEOUT: Duration = Duration::from_secs(15);
/// Largest reply that is read, bytes.
const MAX_REPLY: usize = 64 << 20;
/// Most headers of a reply.
const MAX_HEADERS: usize = 64;

/// Why a request did not get the expected reply.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeFailure {
    /// No connection within [`CONNECT_TIMEOUT`].
    #[error("no connection within 250 ms")]
    ConnectTimeout,
    /// The system's error: refused, unreachable and the like.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// No complete reply within [`REPLY_TIMEOUT`].
    #[error("no complete reply within 15 s ({read} bytes received)")]
    ReplyTimeout {
        /// Bytes received.
        read: usize,
    },
    /// The reply ended in its head, or before the length that it announced.
    #[error("the reply ended after {read} bytes")]
    Truncated {
        /// Bytes received.
        read: usize,
    },
    /// It is not HTTP.
    #[error("the reply is not HTTP: {0}")]
    NotHttp(#[from] httparse::Error),
    /// It is too long.
    #[error("the reply is longer than 64 MiB")]
    TooLong,
    /// Another status.
    #[error("got status {got}, expected {expected}")]
    Status {
        /// The reply's.
        got: u16,
        /// The probe's.
        expected: u16,
    },
    /// The body does not match.
    #[error("the body of {got} bytes does not match {expected:?}; it begins with {begin:?}")]
    Mismatch {
        /// The reply's length.
        got: usize,
        /// The probe's pattern.
        expected: String,
        /// The beginning of the body.
        begin: String,
    },
    /// The body has another length.
    #[error("got a body of {got} bytes, expected {expected}")]
    Body {
        /// The reply's.
        got: usize,
        /// The probe's.
        expected: u64,
    },
}

/// A request with what is expected of its reply.
#[derive(Debug)]
pub(super) struct Request<'a> {
    probe: &'a HttpProbe,
    body: Option<Regex>,
}

impl<'a> Request<'a> {
    /// That of a probe.
    ///
    /// # Errors
    /// The pattern of the body is none.
    pub(super) fn new(probe: &'a HttpProbe) -> Result<Self, String> {
        let body = probe.body.as_ref().map(|pattern| Regex::new(pattern.as_str()));
        Ok(Self {
            probe,
            body: body.transpose().map_err(|error| error.to_string())?,
        })
    }

    /// Sends it once. Returns when the reply was complete.
    pub(super) async fn probe(&self, address: SocketAddr) -> Result<Instant, ProbeFailure> {
        let mut read = Vec::new();
        let reply = get(&self.probe.path, address, &mut read).await?;
        let at = Instant::now();
        check(self.probe, &reply)?;
        let body = &read[reply.head_bytes..];
        let body = if reply.chunked {
            unchunked(body)
        } else {
            body[..reply.body_bytes.min(body.len())].to_vec()
        };
        match &self.body {
            Some(pattern) if !pattern.is_match(&body) => Err(ProbeFailure::Mismatch {
                got: body.len(),
                expected: pattern.as_str().to_owned(),
                begin: String::from_utf8_lossy(&body).chars().take(60).collect(),
            }),
            _ => Ok(at),
        }
    }
}

/// The body of a reply with status 200. Chunked replies are not supported.
///
/// # Errors
/// No connection, no complete reply, or another status than 200.
pub(crate) async fn body(address: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    let probe = HttpProbe {
        path: path.to_owned(),
        status: 200,
        body_bytes: None,
        body: None,
    };
    let reply = get(path, address, &mut read).await;
    let checked = reply.and_then(|reply| check(&probe, &reply).map(|()| reply));
    let reply = checked.map_err(|failure| io::Error::other(format!("GET {path}: {failure}")))?;
    let body = reply.head_bytes..reply.head_bytes + reply.body_bytes;
    let body = read.get(body).filter(|_| !reply.chunked);
    body.map(<[u8]>::to_vec)
        .ok_or_else(|| io::Error::other(format!("GET {path}: the body is chunked")))
}

async fn get(path: &str, address: SocketAddr, read: &mut Vec<u8>) -> Result<Reply, ProbeFailure> {
    let mut stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(|_| ProbeFailure::ConnectTimeout)??;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAccept: */*\r\n\r\n",);
    let reply = timeout(REPLY_TIMEOUT, send(&mut stream, request.as_bytes(), read)).await;
    reply.map_err(|_| ProbeFailure::ReplyTimeout { read: read.len() })?
}

async fn send(stream: &mut TcpStream, request: &[u8], read: &mut Vec<u8>) -> Result<Reply, ProbeFailure> {
    stream.write_all(request).await?;
    receive(stream, read).await
}

/// Sends a request over a connection of its own. Returns the status of the complete reply.
///
/// # Errors
/// No connection, or no complete reply in time.
pub(crate) async fn exchange(request: &[u8], address: SocketAddr, limit: Duration) -> io::Result<u16> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        send(&mut stream, request, &mut Vec::new()).await
    };
    let reply = timeout(limit, exchange).await.map_err(io::Error::from)?;
    reply.map(|reply| reply.status).map_err(io::Error::other)
}

/// The relevant parts of a reply.
#[derive(Debug, PartialEq, Eq)]
struct Reply {
    status: u16,
    head_bytes: usize,
    body_bytes: usize,
    /// The body is chunked; `body_bytes` does not include the framing.
    chunked: bool,
}

fn check(probe: &HttpProbe, reply: &Reply) -> Result<(), ProbeFailure> {
    if reply.status != probe.status {
        return Err(ProbeFailure::Status {
            got: reply.status,
            expected: probe.status,
        });
    }
    match probe.body_bytes {
        Some(expected) if u64::try_from(reply.body_bytes) != Ok(expected) => Err(ProbeFailure::Body {
            got: reply.body_bytes,
            expected,
        }),
        _ => Ok(()),
    }
}

/// Reads until the reply is complete.
async fn receive(stream: &mut TcpStream, read: &mut Vec<u8>) -> Result<Reply, ProbeFailure> {
    loop {
        let ended = stream.read_buf(read).await? == 0;
        if let Some(reply) = parse(read, ended)? {
            return Ok(reply);
        }
        if ended {
            return Err(ProbeFailure::Truncated { read: read.len() });
        }
        if read.len() > MAX_REPLY {
            return Err(ProbeFailure::TooLong);
        }
    }
}

/// The reply, if it is complete; `ended`: the connection is closed.
fn parse(read: &[u8], ended: bool) -> Result<Option<Reply>, ProbeFailure> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(read)? else {
        return Ok(None);
    };
    let body = &read[head..];
    let header = |name: &str| {
        let found = response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))?;
        Some(String::from_utf8_lossy(found.value).trim().to_ascii_lowercase())
    };
    let chunked = header("transfer-encoding").is_some_and(|coding| coding.ends_with("chunked"));
    let body_bytes = if chunked {
        chunked_bytes(body)
    } else if let Some(length) = header("content-length").and_then(|length| length.parse::<usize>().ok()) {
        (body.len() >= length).then_some(length)
    } else {
        ended.then_some(body.len())
    };
    let status = response.code.unwrap_or(0);
    Ok(body_bytes.map(|body_bytes| Reply {
        status,
        head_bytes: head,
        body_bytes,
        chunked,
    }))
}

/// The length of a chunked body without its framing; `None`: incomplete.
fn chunked_bytes(mut body: &[u8]) -> Option<usize> {
    let mut total = 0_usize;
    loop {
        let (chunk, rest) = chunk(body)?;
        if chunk.is_empty() {
            return Some(total);
        }
        total = total.checked_add(chunk.len())?;
        body = rest;
    }
}

/// A chunked body without its framing, as far as it is complete.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some((chunk, rest)) = chunk(body).filter(|(chunk, _)| !chunk.is_empty()) {
        all.extend_from_slice(chunk);
        body = rest;
    }
    all
}

/// The first chunk of a body, and what follows it; the last chunk is empty. `None`: incomplete.
fn chunk(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = body.windows(2).position(|window| window == b"\r\n")?;
    let size = std::str::from_utf8(&body[..line]).ok()?.split(';').next()?.trim();
    let size = usize::from_str_radix(size, 16).ok()?;
    let rest = &body[line + 2..];
    if size == 0 {
        return Some((&[], rest));
    }
    let after = rest.get(size.checked_add(2)?..)?;
    Some((&rest[..size], after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(text: &str, ended: bool) -> Option<(u16, usize)> {
        parse(text.as_bytes(), ended)
            .unwrap()
            .map(|reply| (reply.status, reply.body_bytes))
    }

    #[test]
    fn a_reply_is_complete_at_its_announced_length() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
        assert_eq!(whole(head, true), None);
        assert_eq!(whole(&format!("{head}AA"), false), None);
        assert_eq!(whole(&format!("{head}AAA"), false), Some((200, 3)));
    }

    #[test]
    fn a_reply_without_a_length_is_complete_when_the_connection_closes() {
        let text = "HTTP/1.0 200 OK\r\n\r\nAAAA";
        assert_eq!(whole(text, false), None);
        assert_eq!(whole(text, true), Some((200, 4)));
    }

    #[test]
    fn a_chunked_reply_is_counted_without_its_framing() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(whole(&format!("{head}3\r\nAAA\r\n"), false), None);
        let body = "3\r\nAAA\r\nA;x=1\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!(whole(&format!("{head}{body}"), false), Some((200, 13)));
        assert_eq!(unchunked(body.as_bytes()), b"AAA0123456789");
    }

    #[test]
    fn a_reply_that_is_not_http_is_an_error() {
        assert!(matches!(
            parse(b"SSH-2.0-OpenSSH\r\n", false),
            Err(ProbeFailure::NotHttp(_))
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(tail in proptest::collection::vec(any::<u8>(), 0..100), ended: bool) {
            let _ = parse(&tail, ended);
            for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"] {
                let _ = parse(&[head.as_bytes(), &tail].concat(), ended);
                unchunked(&tail);
            }
        }
    }
}
