//! One client connection: requests are served one after the other, in order.

use std::net::SocketAddr;
use std::sync::Arc;

use kafka_protocol::messages::ApiKey;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tracing::{debug, warn};

use crate::api;
use crate::config::BoundListener;
use crate::node::Node;
use crate::wire::{FrameError, FrameReader, Request, decode, encode_response};

/// A client's connection.
#[derive(Debug)]
pub struct Connection {
    /// The broker.
    pub node: Arc<Node>,
    /// The listener that accepted the connection.
    pub listener: Arc<BoundListener>,
    /// Reads frames within the memory limits.
    pub frames: FrameReader,
    /// The client's address.
    pub peer: SocketAddr,
}

impl Connection {
    /// Serves requests until the client closes the connection or sends an invalid frame.
    pub async fn serve(self, mut stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(peer = %self.peer, %error, "failed to set TCP_NODELAY");
        }
        loop {
            match self.serve_one(&mut stream).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(FrameError::Io(error)) => {
                    return debug!(peer = %self.peer, %error, "connection lost");
                }
                Err(error) => {
                    return warn!(peer = %self.peer, %error, "invalid frame, connection closed");
                }
            }
        }
    }

    /// Serves one request; returns false at the end of the connection.
    async fn serve_one(&self, stream: &mut TcpStream) -> Result<bool, FrameError> {
        let Some((frame, _frame_memory)) = self.frames.next(stream).await? else {
            return Ok(false);
        };
        let Request {
            key,
            version,
            correlation_id,
            client_id,
            body,
        } = decode(frame)?;
        let Some(body) = body else {
            let response = api::api_versions_unsupported();
            stream
                .write_all(&encode_response(ApiKey::ApiVersions, 0, correlation_id, &response)?)
                .await?;
            return Ok(true);
        };
        let context = api::RequestContext {
            node: &self.node,
            listener: &self.listener,
            peer: self.peer,
            client_id: &client_id,
            version,
        };
        let api::Response { body, memory: _memory } = api::handle(context, body).await;
        if let Some(body) = body {
            let frame = encode_response(key, version, correlation_id, &body)?;
            drop(body);
            stream.write_all(&frame).await?;
        }
        Ok(true)
    }
}
