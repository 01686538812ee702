//! Converts groups to and from journal entries.

use std::time::{Duration, Instant};

use super::journal::{Entry, GroupEntry, MemberEntry};
use super::member::Member;
use super::state_machine::{Group, State};

impl Group {
    /// The group's state, from which a restarted broker continues.
    pub fn snapshot(&self, name: &str) -> Entry {
        Entry::Group(GroupEntry {
            group: name.to_owned(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            members: self
                .members
                .iter()
                .map(|(id, member)| member_entry(id, member))
                .collect(),
        })
    }

    /// The entries that describe the group completely: its state and committed offsets.
    pub fn entries(&self, name: &str) -> Vec<Entry> {
        let offsets = self
            .offsets
            .iter()
            .map(|(partition, committed)| Entry::offset(name, partition, Some(committed)));
        std::iter::once(self.snapshot(name)).chain(offsets).collect()
    }

    /// Restores a recorded state; every member gets a full session.
    pub fn restore(&mut self, entry: GroupEntry, now: Instant) {
        self.generation = entry.generation;
        self.protocol_type = entry.protocol_type;
        self.protocol = entry.protocol;
        self.leader = entry.leader;
        self.members = entry
            .members
            .into_iter()
            .map(|entry| (entry.id.clone(), member(entry, now)))
            .collect();
        self.state = if self.members.is_empty() {
            State::Empty
        } else {
            State::Stable
        };
    }
}

fn member_entry(id: &str, member: &Member) -> MemberEntry {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    MemberEntry {
        id: id.to_owned(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        instance_id: member.instance_id.clone(),
        session_timeout_ms: millis(member.session_timeout),
        rebalance_timeout_ms: millis(member.rebalance_timeout),
        protocols: member
            .protocols
            .iter()
            .map(|(name, bytes)| (name.clone(), bytes.to_vec()))
            .collect(),
        assignment: member.assignment.to_vec(),
    }
}

fn member(entry: MemberEntry, now: Instant) -> Member {
    Member {
        client_id: entry.client_id,
        client_host: entry.client_host,
        instance_id: entry.instance_id,
        session_timeout: Duration::from_millis(entry.session_timeout_ms),
        rebalance_timeout: Duration::from_millis(entry.rebalance_timeout_ms),
        protocols: entry
            .protocols
            .into_iter()
            .map(|(name, bytes)| (name, bytes.into()))
            .collect(),
        assignment: entry.assignment.into(),
        last_seen: now,
        joining: None,
        syncing: None,
    }
}
