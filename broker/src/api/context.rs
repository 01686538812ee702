//! What every handler gets and returns.

use std::net::SocketAddr;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::ResponseKind;
use tokio::sync::OwnedSemaphorePermit;

use crate::config::BoundListener;
use crate::node::Node;

/// Where a request comes from, and its version.
#[derive(Debug, Clone, Copy)]
pub struct RequestContext<'a> {
    /// The broker.
    pub node: &'a Node,
    /// The listener of the connection.
    pub listener: &'a BoundListener,
    /// The client's address.
    pub peer: SocketAddr,
    /// The client id.
    pub client_id: &'a str,
    /// The API version of the request.
    pub version: i16,
}

/// A response, and the memory it occupies until it is sent.
#[derive(Debug)]
pub struct Response {
    /// The body; `None` when the request expects none (Produce with `acks=0`).
    pub body: Option<ResponseKind>,
    /// Share of the memory for fetch responses.
    pub memory: Option<OwnedSemaphorePermit>,
}

impl From<ResponseKind> for Response {
    fn from(body: ResponseKind) -> Self {
        Response {
            body: Some(body),
            memory: None,
        }
    }
}

/// An error code with a message.
pub type Refusal = (ResponseError, String);

/// 0, or the error's code.
pub fn error_code(result: Result<(), ResponseError>) -> i16 {
    result.map_or_else(|error| error.code(), |()| 0)
}

/// Checks a leader epoch: it is always 0 here, and -1 means that the client does not know it.
pub fn check_leader_epoch(epoch: i32) -> Result<(), ResponseError> {
    match epoch {
        -1 | 0 => Ok(()),
        e if e > 0 => Err(ResponseError::UnknownLeaderEpoch),
        _ => Err(ResponseError::FencedLeaderEpoch),
    }
}
