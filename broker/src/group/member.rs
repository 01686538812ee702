//! A group member, and the requests and responses of JoinGroup and SyncGroup.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::oneshot;

/// A member of a group, and the response it waits for.
#[derive(Debug)]
pub struct Member {
    /// The client id.
    pub client_id: String,
    /// The client's address.
    pub client_host: String,
    /// Instance id of a static member.
    pub instance_id: Option<String>,
    /// Time without a heartbeat after which the member is removed.
    pub session_timeout: Duration,
    /// How long a rebalance waits for the member.
    pub rebalance_timeout: Duration,
    /// Supported protocols in order of preference, each with the member's subscription.
    pub protocols: Vec<(String, Bytes)>,
    /// The assignment from the leader.
    pub assignment: Bytes,
    /// Time of its last request.
    pub last_seen: Instant,
    /// Its pending JoinGroup.
    pub joining: Option<oneshot::Sender<JoinResponse>>,
    /// Its pending SyncGroup.
    pub syncing: Option<oneshot::Sender<SyncResponse>>,
}

impl Member {
    /// The subscription it sent for a protocol.
    pub fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    /// Whether its session has timed out. Sessions of members that wait for a response do not time out.
    pub fn expired(&self, now: Instant) -> bool {
        let waits = self.joining.is_some() || self.syncing.is_some();
        !waits && now.saturating_duration_since(self.last_seen) > self.session_timeout
    }
}

/// The member that sends a request, as the request states it.
#[derive(Debug, Clone, Default)]
pub struct MemberContext {
    /// Member id; empty for a client that is not a group member.
    pub member_id: String,
    /// Instance id of a static member.
    pub instance_id: Option<String>,
    /// Generation; negative for a client that is not a group member.
    pub generation: i32,
}

/// A JoinGroup request.
#[derive(Debug, Clone)]
pub struct JoinRequest {
    /// Member id; empty for a new member.
    pub member_id: String,
    /// Instance id of a static member.
    pub instance_id: Option<String>,
    /// The client id.
    pub client_id: String,
    /// The client's address.
    pub client_host: String,
    /// Time without a heartbeat after which the member is removed.
    pub session_timeout: Duration,
    /// How long a rebalance waits for the member.
    pub rebalance_timeout: Duration,
    /// `consumer` for consumers.
    pub protocol_type: String,
    /// Supported protocols in order of preference, each with the member's subscription.
    pub protocols: Vec<(String, Bytes)>,
    /// Whether a new member must join again with the id it is given (since version 4).
    pub member_id_required: bool,
}

/// A member as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    /// Member id.
    pub member_id: String,
    /// Instance id of a static member.
    pub instance_id: Option<String>,
    /// Its subscription.
    pub metadata: Bytes,
}

/// The response to a [`JoinRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinResponse {
    /// Why the member did not join.
    pub error: Option<ResponseError>,
    /// The new generation; -1 with an error.
    pub generation: i32,
    /// The group's protocol type.
    pub protocol_type: Option<String>,
    /// The chosen protocol.
    pub protocol: Option<String>,
    /// Member id of the leader.
    pub leader: String,
    /// Member id of the receiver.
    pub member_id: String,
    /// All members, for the leader only.
    pub members: Vec<JoinedMember>,
}

impl JoinResponse {
    /// A response with an error.
    pub fn error(error: ResponseError, member_id: &str) -> Self {
        JoinResponse {
            error: Some(error),
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: String::new(),
            member_id: member_id.to_owned(),
            members: Vec::new(),
        }
    }
}

/// A SyncGroup request.
#[derive(Debug, Clone, Default)]
pub struct SyncRequest {
    /// Member id.
    pub member_id: String,
    /// Instance id of a static member.
    pub instance_id: Option<String>,
    /// The generation the member joined.
    pub generation: i32,
    /// Expected protocol type, if any.
    pub protocol_type: Option<String>,
    /// Expected protocol, if any.
    pub protocol: Option<String>,
    /// The assignments of all members, from the leader.
    pub assignments: HashMap<String, Bytes>,
}

/// The response to a [`SyncRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncResponse {
    /// Why there is no assignment.
    pub error: Option<ResponseError>,
    /// The group's protocol type.
    pub protocol_type: Option<String>,
    /// The group's protocol.
    pub protocol: Option<String>,
    /// The member's assignment, in the protocol's own format.
    pub assignment: Bytes,
}

impl SyncResponse {
    /// A response with an error.
    pub fn error(error: ResponseError) -> Self {
        SyncResponse {
            error: Some(error),
            protocol_type: None,
            protocol: None,
            assignment: Bytes::new(),
        }
    }
}
