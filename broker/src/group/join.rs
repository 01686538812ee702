//! JoinGroup: members gather, a protocol and a leader are chosen, a generation begins.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Group, Member, State, SyncAnswer};

/// Longest session time-out taken, as in Apache Kafka.
const SESSION_MAX: Duration = Duration::from_secs(1800);

/// What a member says when it joins.
#[derive(Debug, Clone)]
pub struct JoinRequest {
    /// Empty for a newcomer.
    pub member: String,
    /// Name of a static member.
    pub instance: Option<String>,
    /// The client's name for itself.
    pub client: String,
    /// The client's address.
    pub host: String,
    /// Silence after which it is gone.
    pub session: Duration,
    /// How long a rebalance waits for it.
    pub rebalance: Duration,
    /// `consumer` for consumers.
    pub protocol_type: String,
    /// Protocols it can follow, best first, with its subscription.
    pub protocols: Vec<(String, Bytes)>,
    /// Whether a newcomer must come again with the id it is given (version 4 and later).
    pub id_required: bool,
}

/// A member as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinMember {
    /// Its id.
    pub member: String,
    /// Name of a static member.
    pub instance: Option<String>,
    /// Its subscription.
    pub metadata: Bytes,
}

/// The answer to a JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinAnswer {
    /// Why it did not join.
    pub error: Option<ResponseError>,
    /// The generation that begins, -1 with an error.
    pub generation: i32,
    /// The group's protocol type.
    pub protocol_type: Option<String>,
    /// The protocol chosen.
    pub protocol: Option<String>,
    /// Id of the leader.
    pub leader: String,
    /// Id of the member that is answered.
    pub member: String,
    /// Everyone, for the leader only.
    pub members: Vec<JoinMember>,
}

impl JoinAnswer {
    /// A refusal.
    pub fn error(error: ResponseError, member: &str) -> Self {
        JoinAnswer {
            error: Some(error),
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: String::new(),
            member: member.to_owned(),
            members: Vec::new(),
        }
    }
}

impl Group {
    /// A member wants in, or wants a new generation. The answer may come much later.
    pub fn join(&mut self, request: JoinRequest, reply: oneshot::Sender<JoinAnswer>, now: Instant) {
        match self.admit(&request) {
            Err(error) => drop(reply.send(JoinAnswer::error(error, &request.member))),
            Ok(()) if request.member.is_empty() => self.join_new(request, reply, now),
            Ok(()) => self.join_known(request, reply, now),
        }
    }

    fn admit(&self, request: &JoinRequest) -> Result<(), ResponseError> {
        if request.session < self.limits.session_min || request.session > SESSION_MAX {
            return Err(ResponseError::InvalidSessionTimeout);
        }
        let known = self.members.contains_key(&request.member);
        let others = self.members.len() - usize::from(known);
        if !known && others + self.promised.len() > self.limits.members {
            return Err(ResponseError::GroupMaxSizeReached);
        }
        let typed = others == 0 || self.protocol_type.as_deref() == Some(&request.protocol_type);
        let common = request
            .protocols
            .iter()
            .any(|(name, _)| self.all_follow(name, &request.member));
        if request.protocols.is_empty() || request.protocol_type.is_empty() || !typed || !common {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        Ok(())
    }

    /// Whether every member but one can follow a protocol.
    fn all_follow(&self, protocol: &str, but: &str) -> bool {
        let mut others = self.members.iter().filter(|(id, _)| *id != but);
        others.all(|(_, member)| member.protocols.iter().any(|(name, _)| name == protocol))
    }

    fn join_new(&mut self, request: JoinRequest, reply: oneshot::Sender<JoinAnswer>, now: Instant) {
        let name = request.instance.as_deref().unwrap_or(&request.client);
        let id = format!("{name}-{}", Uuid::new_v4());
        if let Some(former) = request.instance.as_deref().and_then(|name| self.holder(name)).cloned() {
            self.replace_static(&former, &id);
            return self.rejoin(&id, request, reply, now);
        }
        if request.id_required && request.instance.is_none() {
            self.promised.insert(id.clone(), now + request.session);
            return drop(reply.send(JoinAnswer::error(ResponseError::MemberIdRequired, &id)));
        }
        self.rejoin(&id, request, reply, now);
    }

    /// A static member came back under its name: it takes over from its former self, which is fenced.
    fn replace_static(&mut self, former: &str, id: &str) {
        let Some(mut member) = self.members.remove(former) else {
            return;
        };
        if let Some(reply) = member.joining.take() {
            let _gone = reply.send(JoinAnswer::error(ResponseError::FencedInstanceId, former));
        }
        if let Some(reply) = member.syncing.take() {
            let _gone = reply.send(SyncAnswer::error(ResponseError::FencedInstanceId));
        }
        if self.leader.as_deref() == Some(former) {
            self.leader = Some(id.to_owned());
        }
        self.members.insert(id.to_owned(), member);
    }

    fn join_known(&mut self, request: JoinRequest, reply: oneshot::Sender<JoinAnswer>, now: Instant) {
        let id = request.member.clone();
        let holder = request.instance.as_deref().and_then(|name| self.holder(name));
        if holder.is_some_and(|holder| *holder != id) {
            return drop(reply.send(JoinAnswer::error(ResponseError::FencedInstanceId, &id)));
        }
        let promised = self.promised.remove(&id).is_some();
        let Some(member) = self.members.get(&id) else {
            if promised {
                return self.rejoin(&id, request, reply, now);
            }
            return drop(reply.send(JoinAnswer::error(ResponseError::UnknownMemberId, &id)));
        };
        let same = member.protocols == request.protocols;
        let leads = self.leader.as_deref() == Some(&id);
        match self.state {
            // The answer to the first try was lost: it is given again.
            State::Completing { .. } if same => self.answer_again(&id, reply, now),
            State::Stable if same && !leads => self.answer_again(&id, reply, now),
            _ => self.rejoin(&id, request, reply, now),
        }
    }

    fn answer_again(&mut self, id: &str, reply: oneshot::Sender<JoinAnswer>, now: Instant) {
        if let Some(member) = self.members.get_mut(id) {
            member.seen = now;
        }
        let _gone = reply.send(self.join_answer(id));
    }

    /// Adds or refreshes the member and waits with it for the others.
    fn rejoin(&mut self, id: &str, request: JoinRequest, reply: oneshot::Sender<JoinAnswer>, now: Instant) {
        let former = self.members.remove(id);
        // A join that already waited under this id was given up by its client: dropping it ends it.
        let syncing = former.and_then(|member| member.syncing);
        self.protocol_type = Some(request.protocol_type);
        let member = Member {
            client: request.client,
            host: request.host,
            instance: request.instance,
            session: request.session,
            rebalance: request.rebalance,
            protocols: request.protocols,
            assignment: Bytes::new(),
            seen: now,
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

    /// Everyone must join again.
    pub(super) fn start_rebalance(&mut self, now: Instant) {
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
            if let Some(reply) = member.syncing.take() {
                member.seen = now;
                let _gone = reply.send(SyncAnswer::error(ResponseError::RebalanceInProgress));
            }
        }
        self.state = State::Preparing {
            deadline: now + self.rebalance_timeout(),
        };
        self.try_complete_join(now);
    }

    pub(super) fn try_complete_join(&mut self, now: Instant) {
        if self.members.values().all(|member| member.joining.is_some()) {
            self.complete_join(now);
        }
    }

    /// Begins a generation with those who have joined.
    pub(super) fn complete_join(&mut self, now: Instant) {
        self.members.retain(|_, member| member.joining.is_some());
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.changed = true;
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
            let answer = self.join_answer(&id);
            if let Some(member) = self.members.get_mut(&id) {
                member.seen = now;
                if let Some(reply) = member.joining.take() {
                    let _gone = reply.send(answer);
                }
            }
        }
    }

    /// The protocol most members like best among those that all can follow.
    fn elect_protocol(&self) -> Option<String> {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let mut possible = member.protocols.iter().filter(|(name, _)| self.all_follow(name, ""));
            if let Some((name, _)) = possible.next() {
                *votes.entry(name).or_default() += 1;
            }
        }
        votes
            .into_iter()
            .max_by_key(|&(_, count)| count)
            .map(|(name, _)| name.to_owned())
    }

    fn join_answer(&self, id: &str) -> JoinAnswer {
        let leader = self.leader.clone().unwrap_or_default();
        let members = if leader == id { self.join_members() } else { Vec::new() };
        JoinAnswer {
            error: None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader,
            member: id.to_owned(),
            members,
        }
    }

    fn join_members(&self) -> Vec<JoinMember> {
        let protocol = self.protocol();
        let seen = |(id, member): (&String, &Member)| JoinMember {
            member: id.clone(),
            instance: member.instance.clone(),
            metadata: member.metadata(protocol),
        };
        self.members.iter().map(seen).collect()
    }
}
