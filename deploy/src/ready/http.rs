//! An HTTP GET request, and the check of its reply.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use protocol::spec::HttpProbe;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Timeout of a connection. The kernel repeats a packet that was dropped while a bridge or guest came up only after a second, which would count as
/// start-up time: a new attempt is quicker.
const CONNECT: Duration = Duration::from_millis(250);
/// Timeout of a reply: a service that first calls others can take seconds when it is emulated on a busy host. Other requests are sent meanwhile.
const REPLY: Duration = Duration::from_secs(15);
/// Largest reply that is read, bytes.
const LARGEST: usize = 64 << 20;
/// Most headers of a reply.
const HEADERS: usize = 64;

/// Why a request did not get the expected reply.
#[derive(Debug, thiserror::Error)]
pub(super) enum Wrong {
    /// No connection within [`CONNECT`].
    #[error("no connection within 250 ms")]
    ConnectTime,
    /// The system's error: refused, unreachable and the like.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// No complete reply within [`REPLY`].
    #[error("no complete reply within 15 s ({read} bytes received)")]
    ReplyTime {
        /// Bytes received.
        read: usize,
    },
    /// The reply ended in its head, or before the length that it announced.
    #[error("the reply ended after {read} bytes")]
    Short {
        /// Bytes received.
        read: usize,
    },
    /// It is not HTTP.
    #[error("the reply is not HTTP: {0}")]
    NotHttp(#[from] httparse::Error),
    /// It is too long.
    #[error("the reply is longer than 64 MiB")]
    Long,
    /// Another status.
    #[error("got status {got}, expected {wanted}")]
    Status {
        /// The reply's.
        got: u16,
        /// The probe's.
        wanted: u16,
    },
    /// The body has another length.
    #[error("got a body of {got} bytes, expected {wanted}")]
    Body {
        /// The reply's.
        got: usize,
        /// The probe's.
        wanted: u64,
    },
}

/// Sends one request.
pub(super) async fn ask(probe: &HttpProbe, address: SocketAddr) -> Result<(), Wrong> {
    let reply = get(&probe.path, address, &mut Vec::new()).await?;
    judge(probe, &reply)
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
    };
    let reply = get(path, address, &mut read).await;
    let judged = reply.and_then(|reply| judge(&probe, &reply).map(|()| reply));
    let reply = judged.map_err(|wrong| io::Error::other(format!("GET {path}: {wrong}")))?;
    let body = reply.head_bytes..reply.head_bytes + reply.body_bytes;
    let body = read.get(body).filter(|_| !reply.chunked);
    body.map(<[u8]>::to_vec)
        .ok_or_else(|| io::Error::other(format!("GET {path}: the body is chunked")))
}

async fn get(path: &str, address: SocketAddr, read: &mut Vec<u8>) -> Result<Reply, Wrong> {
    let mut stream = timeout(CONNECT, TcpStream::connect(address))
        .await
        .map_err(|_| Wrong::ConnectTime)??;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAccept: */*\r\n\r\n",);
    let reply = timeout(REPLY, async {
        stream.write_all(request.as_bytes()).await?;
        receive(&mut stream, read).await
    })
    .await;
    reply.map_err(|_| Wrong::ReplyTime { read: read.len() })?
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

fn judge(probe: &HttpProbe, reply: &Reply) -> Result<(), Wrong> {
    if reply.status != probe.status {
        return Err(Wrong::Status {
            got: reply.status,
            wanted: probe.status,
        });
    }
    match probe.body_bytes {
        Some(wanted) if u64::try_from(reply.body_bytes) != Ok(wanted) => Err(Wrong::Body {
            got: reply.body_bytes,
            wanted,
        }),
        _ => Ok(()),
    }
}

/// Reads until the reply is complete.
async fn receive(stream: &mut TcpStream, read: &mut Vec<u8>) -> Result<Reply, Wrong> {
    loop {
        let ended = stream.read_buf(read).await? == 0;
        if let Some(reply) = parse(read, ended)? {
            return Ok(reply);
        }
        if ended {
            return Err(Wrong::Short { read: read.len() });
        }
        if read.len() > LARGEST {
            return Err(Wrong::Long);
        }
    }
}

/// The reply, if it is complete; `ended`: the connection is closed.
fn parse(read: &[u8], ended: bool) -> Result<Option<Reply>, Wrong> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
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
        let line = body.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&body[..line]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(total);
        }
        total = total.checked_add(size)?;
        body = body.get((line + 2).checked_add(size)?.checked_add(2)?..)?;
    }
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
        assert_eq!(
            whole(&format!("{head}3\r\nAAA\r\nA;x=1\r\n0123456789\r\n0\r\n\r\n"), false),
            Some((200, 13))
        );
    }

    #[test]
    fn a_reply_that_is_not_http_is_an_error() {
        assert!(matches!(parse(b"SSH-2.0-OpenSSH\r\n", false), Err(Wrong::NotHttp(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(tail in proptest::collection::vec(any::<u8>(), 0..100), ended: bool) {
            let _ = parse(&tail, ended);
            for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"] {
                let _ = parse(&[head.as_bytes(), &tail].concat(), ended);
            }
        }
    }
}
