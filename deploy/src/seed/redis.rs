//! A key space of Redis: so many keys with values of the same length, written in pipelined `SET` commands (RESP).

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Commands that are under way at once.
const BATCH: u64 = 1000;

/// A key space. Keys are the prefix and twelve digits, as redis-benchmark names them.
#[derive(Clone, Debug)]
pub(super) struct KeySpace {
    pub(super) keys: u64,
    pub(super) value_bytes: u64,
    pub(super) prefix: String,
}

/// Writes all keys.
///
/// # Errors
/// The service's first error, or the system's.
pub(super) async fn fill(stream: TcpStream, space: &KeySpace) -> Result<(), String> {
    let (read, mut write) = stream.into_split();
    let mut replies = BufReader::new(read);
    let value = "A".repeat(usize::try_from(space.value_bytes).map_err(|error| error.to_string())?);
    let mut first = 0;
    while first < space.keys {
        let last = (first + BATCH).min(space.keys);
        let mut batch = Vec::new();
        for number in first..last {
            let key = format!("{}{number:012}", space.prefix);
            let head = format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n", key.len(), value.len());
            batch.extend(head.as_bytes());
            batch.extend(value.as_bytes());
            batch.extend(b"\r\n");
        }
        // Replies are read meanwhile: with both buffers full, neither side would go on.
        let (written, read) = tokio::join!(write.write_all(&batch), expect_ok(&mut replies, last - first));
        written.map_err(|error| error.to_string())?;
        read?;
        first = last;
    }
    Ok(())
}

async fn expect_ok(replies: &mut BufReader<tokio::net::tcp::OwnedReadHalf>, count: u64) -> Result<(), String> {
    let mut line = String::new();
    for _ in 0..count {
        line.clear();
        let length = replies.read_line(&mut line).await.map_err(|error| error.to_string())?;
        if length == 0 {
            return Err("the service closed the connection".to_owned());
        }
        if line != "+OK\r\n" {
            let shown: String = line.trim_end().chars().take(200).collect();
            return Err(format!("SET was answered {shown:?}"));
        }
    }
    Ok(())
}
