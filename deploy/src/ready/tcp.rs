//! TCP probes: a connection that stays open, and Redis' `PING`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a connection must stay open: a forwarder closes it as soon as it finds nothing behind it.
const HOLD: Duration = Duration::from_millis(50);
/// Timeout of a reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest reply to `PING`, bytes.
const MAX_REPLY: usize = 512;

/// Opens a connection that is not closed at once. Returns when it was open.
pub(super) async fn connect(address: SocketAddr) -> Result<Instant, String> {
    let connected = TcpStream::connect(address).await.map_err(|error| error.to_string());
    let (mut stream, at) = (connected?, Instant::now());
    match timeout(HOLD, stream.read(&mut [0])).await {
        Ok(Ok(0)) => Err("the connection was closed at once, as by a forwarder without a service".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        // Open and silent, or it has said something.
        Err(_) | Ok(Ok(_)) => Ok(at),
    }
}

/// Sends `PING` as an array of one string (RESP) and expects `+PONG`. Returns when that was complete.
pub(super) async fn ping(address: SocketAddr) -> Result<Instant, String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"*1\r\n$4\r\nPING\r\n").await?;
        let mut reply = Vec::new();
        while !reply.ends_with(b"\r\n") && reply.len() < MAX_REPLY {
            if stream.read_buf(&mut reply).await? == 0 {
                break;
            }
        }
        Ok::<_, std::io::Error>(reply)
    };
    let reply = timeout(REPLY_TIMEOUT, exchange)
        .await
        .map_err(|_| format!("no reply to PING within {} s", REPLY_TIMEOUT.as_secs()))?
        .map_err(|error| error.to_string())?;
    if reply == b"+PONG\r\n" {
        return Ok(Instant::now());
    }
    let reply = String::from_utf8_lossy(&reply);
    let shown: String = reply.trim_end().chars().take(100).collect();
    Err(format!("PING was answered {shown:?}, expected \"+PONG\""))
}
