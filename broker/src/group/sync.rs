//! SyncGroup: the leader hands in the shares, everyone gets theirs.

use std::collections::HashMap;
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::oneshot;

use super::{Group, State};

/// What a member says when it asks for its share.
#[derive(Debug, Clone, Default)]
pub struct SyncRequest {
    /// Its id.
    pub member: String,
    /// Name of a static member.
    pub instance: Option<String>,
    /// The generation it joined.
    pub generation: i32,
    /// Protocol type it believes in, if it says so.
    pub protocol_type: Option<String>,
    /// Protocol it believes in, if it says so.
    pub protocol: Option<String>,
    /// Everyone's share, from the leader.
    pub assignments: HashMap<String, Bytes>,
}

/// The answer to a SyncGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncAnswer {
    /// Why there is no share.
    pub error: Option<ResponseError>,
    /// The group's protocol type.
    pub protocol_type: Option<String>,
    /// The group's protocol.
    pub protocol: Option<String>,
    /// The member's share, in the protocol's own format.
    pub assignment: Bytes,
}

impl SyncAnswer {
    /// A refusal.
    pub fn error(error: ResponseError) -> Self {
        SyncAnswer {
            error: Some(error),
            protocol_type: None,
            protocol: None,
            assignment: Bytes::new(),
        }
    }
}

impl Group {
    /// A member asks for its share; the leader brings all shares with it.
    pub fn sync(&mut self, request: SyncRequest, reply: oneshot::Sender<SyncAnswer>, now: Instant) {
        if let Err(error) = self.check_sync(&request) {
            return drop(reply.send(SyncAnswer::error(error)));
        }
        let answer = self.sync_answer(&request.member);
        let Some(member) = self.members.get_mut(&request.member) else {
            return;
        };
        member.seen = now;
        match self.state {
            State::Stable => drop(reply.send(answer)),
            State::Completing { .. } => {
                member.syncing = Some(reply);
                if self.leader.as_deref() == Some(&request.member) {
                    self.share(request.assignments, now);
                }
            }
            State::Preparing { .. } => drop(reply.send(SyncAnswer::error(ResponseError::RebalanceInProgress))),
            State::Empty => drop(reply.send(SyncAnswer::error(ResponseError::UnknownMemberId))),
        }
    }

    fn check_sync(&self, request: &SyncRequest) -> Result<(), ResponseError> {
        self.check_member(&request.member, request.instance.as_deref(), request.generation)?;
        let differs = |said: &Option<String>, is: &Option<String>| said.is_some() && said != is;
        if differs(&request.protocol_type, &self.protocol_type) || differs(&request.protocol, &self.protocol) {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        Ok(())
    }

    fn sync_answer(&self, id: &str) -> SyncAnswer {
        SyncAnswer {
            error: None,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self
                .members
                .get(id)
                .map(|member| member.assignment.clone())
                .unwrap_or_default(),
        }
    }

    fn share(&mut self, mut assignments: HashMap<String, Bytes>, now: Instant) {
        for (id, member) in &mut self.members {
            member.assignment = assignments.remove(id).unwrap_or_default();
            // Those who have not asked yet get a full session to do so.
            member.seen = now;
        }
        self.state = State::Stable;
        self.changed = true;
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let answer = self.sync_answer(&id);
            let reply = self.members.get_mut(&id).and_then(|member| member.syncing.take());
            if let Some(reply) = reply {
                let _gone = reply.send(answer);
            }
        }
    }

    /// The leader did not hand in shares in time: those who did not even ask are dropped, the rest start again.
    pub(super) fn drop_unsynced(&mut self, now: Instant) {
        self.members.retain(|_, member| member.syncing.is_some());
        self.start_rebalance(now);
    }
}
