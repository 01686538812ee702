//! A member of a group.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{JoinAnswer, SyncAnswer};

/// A consumer in a group, and the answer it waits for.
#[derive(Debug)]
pub struct Member {
    /// Its name for itself.
    pub client: String,
    /// Where it comes from.
    pub host: String,
    /// The fixed name of a static member.
    pub instance: Option<String>,
    /// Silence after which it is gone.
    pub session: Duration,
    /// How long a rebalance waits for it.
    pub rebalance: Duration,
    /// Protocols it can follow, best first, each with the member's subscription.
    pub protocols: Vec<(String, Bytes)>,
    /// What the leader gave it.
    pub assignment: Bytes,
    /// When it was last heard of.
    pub seen: Instant,
    /// Its JoinGroup waits here for the others.
    pub joining: Option<oneshot::Sender<JoinAnswer>>,
    /// Its SyncGroup waits here for the leader.
    pub syncing: Option<oneshot::Sender<SyncAnswer>>,
}

impl Member {
    /// The subscription it sent with a protocol.
    pub fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    /// Whether it has been silent for too long. A member that waits for an answer is not silent.
    pub fn expired(&self, now: Instant) -> bool {
        let waits = self.joining.is_some() || self.syncing.is_some();
        !waits && now.saturating_duration_since(self.seen) > self.session
    }
}
