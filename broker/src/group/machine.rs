//! One group: its state, its generations, its members' coming and going.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kafka_protocol::ResponseError;

use super::{Committed, JoinAnswer, Member, SyncAnswer, TopicPartition};

/// Where a group is in its life; see the diagram in [the module](super).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No members; offsets may remain.
    Empty,
    /// Waiting for members to join until the deadline.
    Preparing {
        /// When those who have not joined are dropped.
        deadline: Instant,
    },
    /// Waiting for the leader's assignments until the deadline.
    Completing {
        /// When those who have not asked for their assignment are dropped.
        deadline: Instant,
    },
    /// Everyone has an assignment.
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

/// Bounds that a group keeps to.
#[derive(Debug, Clone, Copy)]
pub struct GroupLimits {
    /// Members, those included that were given an id and did not come back yet.
    pub members: usize,
    /// Shortest session time-out.
    pub session_min: Duration,
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
    /// Ids that were given out and not yet used, with the time they lapse.
    pub(super) promised: BTreeMap<String, Instant>,
    /// What was committed.
    pub offsets: BTreeMap<TopicPartition, Committed>,
    /// Set when what must survive a restart has changed.
    pub changed: bool,
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
            promised: BTreeMap::new(),
            offsets: BTreeMap::new(),
            changed: false,
        }
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// The number of the last completed join.
    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// `consumer` for consumers, other words for other users of groups.
    pub fn protocol_type(&self) -> &str {
        self.protocol_type.as_deref().unwrap_or_default()
    }

    /// The protocol that all members follow.
    pub fn protocol(&self) -> &str {
        self.protocol.as_deref().unwrap_or_default()
    }

    /// Members by id.
    pub fn members(&self) -> &BTreeMap<String, Member> {
        &self.members
    }

    /// Whether nothing would be lost with the group.
    pub fn vain(&self) -> bool {
        self.members.is_empty() && self.promised.is_empty() && self.offsets.is_empty()
    }

    /// Checks that a request comes from a member, and a current one.
    pub(super) fn check_member(&self, id: &str, instance: Option<&str>, generation: i32) -> Result<(), ResponseError> {
        if let Some(holder) = instance.and_then(|name| self.holder(name))
            && holder != id
        {
            return Err(ResponseError::FencedInstanceId);
        }
        if !self.members.contains_key(id) {
            return Err(ResponseError::UnknownMemberId);
        }
        if generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        Ok(())
    }

    /// The member that carries the name of a static member.
    pub(super) fn holder(&self, instance: &str) -> Option<&String> {
        self.members
            .iter()
            .find(|(_, m)| m.instance.as_deref() == Some(instance))
            .map(|(id, _)| id)
    }

    /// A sign of life.
    pub fn heartbeat(
        &mut self,
        id: &str,
        instance: Option<&str>,
        generation: i32,
        now: Instant,
    ) -> Result<(), ResponseError> {
        self.check_member(id, instance, generation)?;
        if let Some(member) = self.members.get_mut(id) {
            member.seen = now;
        }
        match self.state {
            State::Preparing { .. } => Err(ResponseError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// A member goes; the others share anew. An empty id with an instance name means its holder.
    pub fn leave(&mut self, id: &str, instance: Option<&str>, now: Instant) -> Result<(), ResponseError> {
        if self.promised.remove(id).is_some() {
            return Ok(());
        }
        let holder = instance.and_then(|name| self.holder(name)).cloned();
        let id = match (holder, instance) {
            (Some(holder), _) if id.is_empty() || id == holder => holder,
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

    /// Takes a member out, answers what it waits for, and starts a rebalance if that changes the shares.
    pub(super) fn remove(&mut self, id: &str, now: Instant) {
        let Some(member) = self.members.remove(id) else {
            return;
        };
        if let Some(reply) = member.joining {
            let _gone = reply.send(JoinAnswer::error(ResponseError::UnknownMemberId, id));
        }
        if let Some(reply) = member.syncing {
            let _gone = reply.send(SyncAnswer::error(ResponseError::UnknownMemberId));
        }
        match self.state {
            State::Preparing { .. } => self.try_complete_join(now),
            State::Completing { .. } | State::Stable => self.start_rebalance(now),
            State::Empty => {}
        }
    }

    /// Lets time pass: silent members go, overdue rebalances end. Call it often.
    pub fn tick(&mut self, now: Instant) {
        self.promised.retain(|_, lapses| *lapses > now);
        let expired = self.members.iter().filter(|(_, member)| member.expired(now));
        let expired: Vec<String> = expired.map(|(id, _)| id.clone()).collect();
        for id in expired {
            self.remove(&id, now);
        }
        match self.state {
            State::Preparing { deadline } if now >= deadline => self.complete_join(now),
            State::Completing { deadline } if now >= deadline => self.drop_unsynced(now),
            _ => {}
        }
    }

    /// The longest that any member lets a rebalance take.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        self.members
            .values()
            .map(|member| member.rebalance)
            .max()
            .unwrap_or_default()
    }
}
