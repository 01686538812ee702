//! Frames: a 4-byte length, then that many bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, ResponseKind};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::FrameError;

/// Minimum size of a request: key, version and correlation id.
pub const MIN_REQUEST: usize = 8;
/// How long a frame may take after its length was read. Frees the memory reserved for stalled senders.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads frames within the memory limits.
#[derive(Debug, Clone)]
pub struct FrameReader {
    limit: usize,
    memory: Arc<Semaphore>,
}

impl FrameReader {
    /// `limit`: maximum frame size in bytes; `memory`: bytes of frames in memory over all connections.
    pub fn new(limit: usize, memory: usize) -> Self {
        let memory = memory.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        FrameReader {
            limit: limit.min(memory),
            memory: Arc::new(Semaphore::new(memory)),
        }
    }

    /// The next frame and its memory reservation; `None` when the client has closed the connection.
    pub async fn next<S: AsyncRead + Unpin>(
        &self,
        stream: &mut S,
    ) -> Result<Option<(Bytes, OwnedSemaphorePermit)>, FrameError> {
        let Some(length) = read_length(stream).await? else {
            return Ok(None);
        };
        let length = self.check_length(length)?;
        let permits = u32::try_from(length).unwrap_or(u32::MAX);
        let closed = |_| FrameError::Io(std::io::ErrorKind::Interrupted.into());
        let memory = Arc::clone(&self.memory)
            .acquire_many_owned(permits)
            .await
            .map_err(closed)?;
        let elapsed = |_| FrameError::Timeout {
            length,
            after: BODY_TIMEOUT,
        };
        let body = timeout(BODY_TIMEOUT, read_body(stream, length))
            .await
            .map_err(elapsed)??;
        Ok(Some((body, memory)))
    }

    fn check_length(&self, length: i32) -> Result<usize, FrameError> {
        let length = usize::try_from(length).map_err(|_| FrameError::NegativeLength(length))?;
        match length {
            n if n > self.limit => Err(FrameError::TooLong {
                length,
                limit: self.limit,
            }),
            n if n < MIN_REQUEST => Err(FrameError::TooShort(length)),
            _ => Ok(length),
        }
    }
}

async fn read_length<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Option<i32>, FrameError> {
    let mut length = [0; 4];
    let first = stream.read(&mut length).await?;
    if first == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut length[first..]).await?;
    Ok(Some(i32::from_be_bytes(length)))
}

/// The buffer grows as bytes arrive, not by the announced length.
async fn read_body<S: AsyncRead + Unpin>(stream: &mut S, length: usize) -> Result<Bytes, FrameError> {
    let mut body = BytesMut::with_capacity(length.min(64 << 10));
    let mut rest = stream.take(length as u64);
    while body.len() < length {
        if rest.read_buf(&mut body).await? == 0 {
            return Err(FrameError::Io(std::io::ErrorKind::UnexpectedEof.into()));
        }
    }
    Ok(body.freeze())
}

/// Encodes a response into a frame. Fails only if the response does not match its version, which is a bug.
pub fn encode_response(
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    body: &ResponseKind,
) -> Result<BytesMut, FrameError> {
    let mut frame = BytesMut::with_capacity(256);
    frame.put_i32(0);
    frame.put_i32(correlation_id);
    if key.response_header_version(version) >= 1 {
        frame.put_u8(0);
    }
    let malformed = |reason: String| FrameError::Malformed {
        key: key as i16,
        version,
        reason,
    };
    body.encode(&mut frame, version)
        .map_err(|e| malformed(format!("failed to encode the response: {e:#}")))?;
    let length = i32::try_from(frame.len() - 4).map_err(|_| malformed("response larger than 2 GiB".into()))?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}
