//! The state machine of one group; see the diagram in [the module](super).

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::journal::{CommittedOffset, TopicPartition};
use super::member::{JoinRequest, JoinResponse, JoinedMember, Member, MemberContext, SyncRequest, SyncResponse};

/// Maximum session timeout, as in Apache Kafka.
const MAX_SESSION_TIMEOUT: Duration = Duration::from_secs(1800);

/// The state of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No members; there may be committed offsets.
    Empty,
    /// Waiting for members to join until the deadline.
    Preparing {
        /// When members that have not joined are removed.
        deadline: Instant,
    },
    /// Waiting for the leader's assignments until the deadline.
    Completing {
        /// When members that have not sent SyncGroup are removed.
        deadline: Instant,
    },
    /// All members have their assignments.
    Stable,
}

impl State {
    /// Kafka's name of the state.
    pub fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::Preparing { .. } => "PreparingRebalance",
            State::Completing { .. } => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }
}

/// Limits of a group.
#[derive(Debug, Clone, Copy)]
pub struct GroupLimits {
    /// Maximum number of members, including ids that were given out but have not joined yet.
    pub members: usize,
    /// Minimum session timeout.
    pub min_session_timeout: Duration,
}

/// A consumer group.
#[derive(Debug)]
pub struct Group {
    pub(super) limits: GroupLimits,
    pub(super) state: State,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<String>,
    pub(super) members: BTreeMap<String, Member>,
    /// Ids that were given out but have not joined yet, with their expiry.
    pub(super) pending_ids: BTreeMap<String, Instant>,
    /// The committed offsets.
    pub offsets: BTreeMap<TopicPartition, CommittedOffset>,
    /// Whether state that must survive a restart has changed since it was last written.
    pub dirty: bool,
}

impl Group {
    /// A group without members.
    pub fn new(limits: GroupLimits) -> Self {
        Group {
            limits,
            state: State::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            pending_ids: BTreeMap::new(),
            offsets: BTreeMap::new(),
            dirty: false,
        }
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// The current generation: the number of completed joins.
    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// The protocol type: `consumer` for consumers.
    pub fn protocol_type(&self) -> &str {
        self.protocol_type.as_deref().unwrap_or_default()
    }

    /// The chosen protocol.
    pub fn protocol(&self) -> &str {
        self.protocol.as_deref().unwrap_or_default()
    }

    /// Members by id.
    pub fn members(&self) -> &BTreeMap<String, Member> {
        &self.members
    }

    /// Whether the group has no members, pending ids or offsets.
    pub fn is_unused(&self) -> bool {
        self.members.is_empty() && self.pending_ids.is_empty() && self.offsets.is_empty()
    }

    /// Checks that a request comes from a member of the current generation.
    fn check_member(&self, from: &MemberContext) -> Result<(), ResponseError> {
        let owner = from.instance_id.as_deref().and_then(|id| self.static_member(id));
        if owner.is_some_and(|owner| *owner != from.member_id) {
            return Err(ResponseError::FencedInstanceId);
        }
        if !self.members.contains_key(&from.member_id) {
            return Err(ResponseError::UnknownMemberId);
        }
        if from.generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        Ok(())
    }

    /// Member id of the static member with an instance id.
    fn static_member(&self, instance_id: &str) -> Option<&String> {
        self.members
            .iter()
            .find(|(_, member)| member.instance_id.as_deref() == Some(instance_id))
            .map(|(id, _)| id)
    }

    /// Renews a member's session.
    pub fn heartbeat(&mut self, from: &MemberContext, now: Instant) -> Result<(), ResponseError> {
        self.check_member(from)?;
        self.renew_session(&from.member_id, now);
        match self.state {
            State::Preparing { .. } => Err(ResponseError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    fn renew_session(&mut self, id: &str, now: Instant) {
        if let Some(member) = self.members.get_mut(id) {
            member.last_seen = now;
        }
    }

    /// Removes a member and starts a rebalance. An empty id with an instance id means the static member of that name.
    pub fn leave(&mut self, id: &str, instance_id: Option<&str>, now: Instant) -> Result<(), ResponseError> {
        if self.pending_ids.remove(id).is_some() {
            return Ok(());
        }
        let owner = instance_id.and_then(|name| self.static_member(name)).cloned();
        let id = match (owner, instance_id) {
            (Some(owner), _) if id.is_empty() || id == owner => owner,
            (Some(_), _) => return Err(ResponseError::FencedInstanceId),
            (None, Some(_)) => return Err(ResponseError::UnknownMemberId),
            (None, None) => id.to_owned(),
        };
        if !self.members.contains_key(&id) {
            return Err(ResponseError::UnknownMemberId);
        }
        self.remove(&id, now);
        Ok(())
    }

    /// Removes a member, fails its pending requests, and starts a rebalance if it had an assignment.
    fn remove(&mut self, id: &str, now: Instant) {
        let Some(member) = self.members.remove(id) else {
            return;
        };
        if let Some(reply) = member.joining {
            let _gone = reply.send(JoinResponse::error(ResponseError::UnknownMemberId, id));
        }
        if let Some(reply) = member.syncing {
            let _gone = reply.send(SyncResponse::error(ResponseError::UnknownMemberId));
        }
        match self.state {
            State::Preparing { .. } => self.try_complete_join(now),
            State::Completing { .. } | State::Stable => self.start_rebalance(now),
            State::Empty => {}
        }
    }

    /// Applies timeouts: removes members whose session has expired, ends overdue rebalances.
    pub fn tick(&mut self, now: Instant) {
        self.pending_ids.retain(|_, expiry| *expiry > now);
        let expired = self.members.iter().filter(|(_, member)| member.expired(now));
        let expired: Vec<String> = expired.map(|(id, _)| id.clone()).collect();
        for id in expired {
            self.remove(&id, now);
        }
        match self.state {
            State::Preparing { deadline } if now >= deadline => self.complete_join(now),
            State::Completing { deadline } if now >= deadline => self.remove_unsynced(now),
            _ => {}
        }
    }

    /// The longest rebalance timeout of all members.
    fn rebalance_timeout(&self) -> Duration {
        self.members
            .values()
            .map(|member| member.rebalance_timeout)
            .max()
            .unwrap_or_default()
    }

    /// Checks that the sender may commit offsets, and renews its session.
    pub(super) fn check_commit(&mut self, from: &MemberContext, now: Instant) -> Result<(), ResponseError> {
        if from.generation < 0 && from.member_id.is_empty() && self.members.is_empty() {
            return Ok(());
        }
        self.check_member(from)?;
        self.renew_session(&from.member_id, now);
        match self.state {
            State::Completing { .. } => Err(ResponseError::RebalanceInProgress),
            _ => Ok(()),
        }
    }
}

/// JoinGroup.
impl Group {
    /// Adds a member or lets one rejoin. The response may be sent much later.
    pub fn join(&mut self, request: JoinRequest, reply: oneshot::Sender<JoinResponse>, now: Instant) {
        match self.check_join(&request) {
            Err(error) => drop(reply.send(JoinResponse::error(error, &request.member_id))),
            Ok(()) if request.member_id.is_empty() => self.join_new(request, reply, now),
            Ok(()) => self.join_known(request, reply, now),
        }
    }

    fn check_join(&self, request: &JoinRequest) -> Result<(), ResponseError> {
        if request.session_timeout < self.limits.min_session_timeout || request.session_timeout > MAX_SESSION_TIMEOUT {
            return Err(ResponseError::InvalidSessionTimeout);
        }
        let known = self.members.contains_key(&request.member_id);
        let others = self.members.len() - usize::from(known);
        if !known && others + self.pending_ids.len() > self.limits.members {
            return Err(ResponseError::GroupMaxSizeReached);
        }
        let same_type = others == 0 || self.protocol_type.as_deref() == Some(&request.protocol_type);
        let common = request
            .protocols
            .iter()
            .any(|(name, _)| self.all_support(name, &request.member_id));
        if request.protocols.is_empty() || request.protocol_type.is_empty() || !same_type || !common {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        Ok(())
    }

    /// Whether every member except one supports a protocol.
    fn all_support(&self, protocol: &str, except: &str) -> bool {
        let mut others = self.members.iter().filter(|(id, _)| *id != except);
        others.all(|(_, member)| member.protocols.iter().any(|(name, _)| name == protocol))
    }

    fn join_new(&mut self, request: JoinRequest, reply: oneshot::Sender<JoinResponse>, now: Instant) {
        let name = request.instance_id.as_deref().unwrap_or(&request.client_id);
        let id = format!("{name}-{}", Uuid::new_v4());
        let previous = request.instance_id.as_deref().and_then(|name| self.static_member(name));
        if let Some(previous) = previous.cloned() {
            self.replace_static(&previous, &id);
            return self.rejoin(&id, request, reply, now);
        }
        if request.member_id_required && request.instance_id.is_none() {
            self.pending_ids.insert(id.clone(), now + request.session_timeout);
            return drop(reply.send(JoinResponse::error(ResponseError::MemberIdRequired, &id)));
        }
        self.rejoin(&id, request, reply, now);
    }

    /// A static member rejoined with a new member id: it replaces the previous one, which is fenced.
    fn replace_static(&mut self, previous: &str, id: &str) {
        let Some(mut member) = self.members.remove(previous) else {
            return;
        };
        if let Some(reply) = member.joining.take() {
            let _gone = reply.send(JoinResponse::error(ResponseError::FencedInstanceId, previous));
        }
        if let Some(reply) = member.syncing.take() {
            let _gone = reply.send(SyncResponse::error(ResponseError::FencedInstanceId));
        }
        if self.leader.as_deref() == Some(previous) {
            self.leader = Some(id.to_owned());
        }
        self.members.insert(id.to_owned(), member);
    }

    fn join_known(&mut self, request: JoinRequest, reply: oneshot::Sender<JoinResponse>, now: Instant) {
        let id = request.member_id.clone();
        let owner = request.instance_id.as_deref().and_then(|name| self.static_member(name));
        if owner.is_some_and(|owner| *owner != id) {
            return drop(reply.send(JoinResponse::error(ResponseError::FencedInstanceId, &id)));
        }
        let pending = self.pending_ids.remove(&id).is_some();
        let Some(member) = self.members.get(&id) else {
            if pending {
                return self.rejoin(&id, request, reply, now);
            }
            return drop(reply.send(JoinResponse::error(ResponseError::UnknownMemberId, &id)));
        };
        let same = member.protocols == request.protocols;
        let leads = self.leader.as_deref() == Some(&id);
        match self.state {
            // The response to an earlier request was lost: send it again.
            State::Completing { .. } if same => self.resend_join_response(&id, reply, now),
            State::Stable if same && !leads => self.resend_join_response(&id, reply, now),
            _ => self.rejoin(&id, request, reply, now),
        }
    }

    fn resend_join_response(&mut self, id: &str, reply: oneshot::Sender<JoinResponse>, now: Instant) {
        self.renew_session(id, now);
        let _gone = reply.send(self.join_response(id));
    }

    /// Adds or updates the member, which then waits for the others.
    fn rejoin(&mut self, id: &str, request: JoinRequest, reply: oneshot::Sender<JoinResponse>, now: Instant) {
        let previous = self.members.remove(id);
        // An earlier pending join with this id was abandoned by its client; dropping its sender ends it.
        let syncing = previous.and_then(|member| member.syncing);
        self.protocol_type = Some(request.protocol_type);
        let member = Member {
            client_id: request.client_id,
            client_host: request.client_host,
            instance_id: request.instance_id,
            session_timeout: request.session_timeout,
            rebalance_timeout: request.rebalance_timeout,
            protocols: request.protocols,
            assignment: Bytes::new(),
            last_seen: now,
            joining: Some(reply),
            syncing,
        };
        self.members.insert(id.to_owned(), member);
        if !matches!(self.state, State::Preparing { .. }) {
            self.start_rebalance(now);
        } else {
            self.try_complete_join(now);
        }
    }

    /// Starts a rebalance: all members must join again.
    fn start_rebalance(&mut self, now: Instant) {
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
            if let Some(reply) = member.syncing.take() {
                member.last_seen = now;
                let _gone = reply.send(SyncResponse::error(ResponseError::RebalanceInProgress));
            }
        }
        self.state = State::Preparing {
            deadline: now + self.rebalance_timeout(),
        };
        self.try_complete_join(now);
    }

    fn try_complete_join(&mut self, now: Instant) {
        if self.members.values().all(|member| member.joining.is_some()) {
            self.complete_join(now);
        }
    }

    /// Starts a new generation with the members that have joined.
    fn complete_join(&mut self, now: Instant) {
        self.members.retain(|_, member| member.joining.is_some());
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.dirty = true;
        if self.members.is_empty() {
            (self.state, self.protocol, self.leader) = (State::Empty, None, None);
            return;
        }
        self.protocol = self.elect_protocol();
        if self
            .leader
            .as_ref()
            .is_none_or(|leader| !self.members.contains_key(leader))
        {
            self.leader = self.members.keys().next().cloned();
        }
        self.state = State::Completing {
            deadline: now + self.rebalance_timeout(),
        };
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let response = self.join_response(&id);
            if let Some(member) = self.members.get_mut(&id) {
                member.last_seen = now;
                if let Some(reply) = member.joining.take() {
                    let _gone = reply.send(response);
                }
            }
        }
    }

    /// The protocol that most members prefer among those that all support.
    fn elect_protocol(&self) -> Option<String> {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let mut possible = member.protocols.iter().filter(|(name, _)| self.all_support(name, ""));
            if let Some((name, _)) = possible.next() {
                *votes.entry(name).or_default() += 1;
            }
        }
        votes
            .into_iter()
            .max_by_key(|&(_, count)| count)
            .map(|(name, _)| name.to_owned())
    }

    fn join_response(&self, id: &str) -> JoinResponse {
        let leader = self.leader.clone().unwrap_or_default();
        let members = if leader == id { self.join_members() } else { Vec::new() };
        JoinResponse {
            error: None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader,
            member_id: id.to_owned(),
            members,
        }
    }

    fn join_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol();
        let joined = |(id, member): (&String, &Member)| JoinedMember {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol),
        };
        self.members.iter().map(joined).collect()
    }
}

/// SyncGroup.
impl Group {
    /// Returns a member's assignment; the leader's request carries the assignments of all.
    pub fn sync(&mut self, request: SyncRequest, reply: oneshot::Sender<SyncResponse>, now: Instant) {
        if let Err(error) = self.check_sync(&request) {
            return drop(reply.send(SyncResponse::error(error)));
        }
        let response = self.sync_response(&request.member_id);
        let Some(member) = self.members.get_mut(&request.member_id) else {
            return;
        };
        member.last_seen = now;
        match self.state {
            State::Stable => drop(reply.send(response)),
            State::Completing { .. } => {
                member.syncing = Some(reply);
                if self.leader.as_deref() == Some(&request.member_id) {
                    self.assign(request.assignments, now);
                }
            }
            State::Preparing { .. } => drop(reply.send(SyncResponse::error(ResponseError::RebalanceInProgress))),
            State::Empty => drop(reply.send(SyncResponse::error(ResponseError::UnknownMemberId))),
        }
    }

    fn check_sync(&self, request: &SyncRequest) -> Result<(), ResponseError> {
        self.check_member(&MemberContext {
            member_id: request.member_id.clone(),
            instance_id: request.instance_id.clone(),
            generation: request.generation,
        })?;
        let differs = |expected: &Option<String>, actual: &Option<String>| expected.is_some() && expected != actual;
        if differs(&request.protocol_type, &self.protocol_type) || differs(&request.protocol, &self.protocol) {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        Ok(())
    }

    fn sync_response(&self, id: &str) -> SyncResponse {
        SyncResponse {
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

    /// Distributes the assignments.
    fn assign(&mut self, mut assignments: HashMap<String, Bytes>, now: Instant) {
        for (id, member) in &mut self.members {
            member.assignment = assignments.remove(id).unwrap_or_default();
            // Members that have not sent SyncGroup yet get a full session to do so.
            member.last_seen = now;
        }
        self.state = State::Stable;
        self.dirty = true;
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let response = self.sync_response(&id);
            let reply = self.members.get_mut(&id).and_then(|member| member.syncing.take());
            if let Some(reply) = reply {
                let _gone = reply.send(response);
            }
        }
    }

    /// The leader did not send assignments in time: removes the members that have not sent SyncGroup and restarts the
    /// rebalance.
    fn remove_unsynced(&mut self, now: Instant) {
        self.members.retain(|_, member| member.syncing.is_some());
        self.start_rebalance(now);
    }
}
