//! Frames: a length of four bytes, then that many bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, ResponseKind};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::FrameError;

/// Key, version and correlation id: less than this is no request.
const HEADER: usize = 8;
/// How long the rest of a frame may take once its length was read, so that a stalled sender frees its memory.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads frames within the limits of memory.
#[derive(Debug, Clone)]
pub struct FrameReader {
    limit: usize,
    budget: Arc<Semaphore>,
}

impl FrameReader {
    /// `limit`: largest frame in bytes; `budget`: bytes of frames held at once by all connections.
    pub fn new(limit: usize, budget: usize) -> Self {
        let budget = budget.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        FrameReader {
            limit: limit.min(budget),
            budget: Arc::new(Semaphore::new(budget)),
        }
    }

    /// The next frame with its share of the memory, `None` when the client has closed the connection.
    pub async fn next<S: AsyncRead + Unpin>(
        &self,
        stream: &mut S,
    ) -> Result<Option<(Bytes, OwnedSemaphorePermit)>, FrameError> {
        let Some(length) = read_length(stream).await? else {
            return Ok(None);
        };
        let length = self.check(length)?;
        let share = u32::try_from(length).unwrap_or(u32::MAX);
        let closed = |_| FrameError::Io(std::io::ErrorKind::Interrupted.into());
        let share = Arc::clone(&self.budget)
            .acquire_many_owned(share)
            .await
            .map_err(closed)?;
        let slow = |_| FrameError::Slow {
            length,
            after: PATIENCE,
        };
        let body = timeout(PATIENCE, read_body(stream, length)).await.map_err(slow)??;
        Ok(Some((body, share)))
    }

    fn check(&self, length: i32) -> Result<usize, FrameError> {
        let length = usize::try_from(length).map_err(|_| FrameError::NegativeLength(length))?;
        match length {
            n if n > self.limit => Err(FrameError::TooLong {
                length,
                limit: self.limit,
            }),
            n if n < HEADER => Err(FrameError::UnderHeader(length)),
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

/// Memory grows as bytes arrive, not as they are announced.
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

/// Encodes an answer into a frame; fails only if an answer does not fit its version, which is a bug here.
pub fn answer_frame(key: ApiKey, version: i16, correlation: i32, body: &ResponseKind) -> Result<BytesMut, FrameError> {
    let mut frame = BytesMut::with_capacity(256);
    frame.put_i32(0);
    frame.put_i32(correlation);
    if key.response_header_version(version) >= 1 {
        frame.put_u8(0);
    }
    let malformed = |problem: String| FrameError::Malformed {
        key: key as i16,
        version,
        problem,
    };
    body.encode(&mut frame, version)
        .map_err(|e| malformed(format!("answer not encoded: {e:#}")))?;
    let length = i32::try_from(frame.len() - 4).map_err(|_| malformed("answer over 2 GiB".into()))?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}
