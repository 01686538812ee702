//! One connection: requests come in, are answered one after the other, in order.

use std::net::SocketAddr;
use std::sync::Arc;

use kafka_protocol::messages::{ApiKey, ResponseKind};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tracing::{debug, warn};

use crate::api;
use crate::error::StartError;
use crate::node::Node;
use crate::wire::{FrameError, FrameReader, Request, answer_frame, decode};

/// The listener that a connection came in by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The address bound.
    pub bound: SocketAddr,
    /// Host that its clients are told to connect to.
    pub host: String,
    /// Port that its clients are told to connect to.
    pub port: u16,
}

impl Origin {
    /// `advertise` is `host:port`; IPv6 hosts stand in brackets.
    pub fn new(bound: SocketAddr, advertise: Option<&str>) -> Result<Self, StartError> {
        let Some(text) = advertise else {
            return Ok(Origin {
                bound,
                host: bound.ip().to_string(),
                port: bound.port(),
            });
        };
        let wrong = || StartError::Advertise(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = port.parse().map_err(|_| wrong())?;
        if host.is_empty() {
            Err(wrong())
        } else {
            Ok(Origin { bound, host, port })
        }
    }
}

/// An answer, and the memory that it occupies until it is sent.
#[derive(Debug)]
pub struct Answer {
    /// The body; `None` when the request wants none (Produce with `acks=0`).
    pub body: Option<ResponseKind>,
    /// Share of the memory for fetch answers.
    pub share: Option<OwnedSemaphorePermit>,
}

impl From<ResponseKind> for Answer {
    fn from(body: ResponseKind) -> Self {
        Answer {
            body: Some(body),
            share: None,
        }
    }
}

/// A client's connection.
#[derive(Debug)]
pub struct Connection {
    /// The broker.
    pub node: Arc<Node>,
    /// The listener.
    pub origin: Arc<Origin>,
    /// Reads within limits.
    pub frames: FrameReader,
    /// The client's address.
    pub peer: SocketAddr,
}

impl Connection {
    /// Serves until the client closes, or sends what cannot be answered.
    pub async fn serve(self, mut stream: TcpStream) {
        if let Err(problem) = stream.set_nodelay(true) {
            debug!(peer = %self.peer, %problem, "no TCP_NODELAY");
        }
        loop {
            match self.serve_one(&mut stream).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(FrameError::Io(problem)) => {
                    return debug!(peer = %self.peer, %problem, "connection lost");
                }
                Err(problem) => {
                    return warn!(peer = %self.peer, %problem, "frame refused, connection closed");
                }
            }
        }
    }

    /// One request and its answer; false at the end of the connection.
    async fn serve_one(&self, stream: &mut TcpStream) -> Result<bool, FrameError> {
        let Some((frame, _share)) = self.frames.next(stream).await? else {
            return Ok(false);
        };
        let Request {
            key,
            version,
            correlation,
            client,
            body,
        } = decode(frame)?;
        let Some(body) = body else {
            let answer = api::versions_unsupported();
            stream
                .write_all(&answer_frame(ApiKey::ApiVersions, 0, correlation, &answer)?)
                .await?;
            return Ok(true);
        };
        let caller = api::Caller {
            node: &self.node,
            origin: &self.origin,
            peer: self.peer,
            client: &client,
            version,
        };
        let Answer { body, share: _share } = api::answer(caller, body).await;
        if let Some(body) = body {
            let frame = answer_frame(key, version, correlation, &body)?;
            drop(body);
            stream.write_all(&frame).await?;
        }
        Ok(true)
    }
}
