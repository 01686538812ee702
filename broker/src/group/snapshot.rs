//! Between a [`Group`] and the entries of the journal.

use std::time::{Duration, Instant};

use super::{Entry, Group, GroupEntry, Member, MemberEntry, OffsetEntry, State};

impl Group {
    /// The state that all members agreed on last: what a restarted broker goes on with.
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

    /// Everything that is worth keeping of the group.
    pub fn entries(&self, name: &str) -> Vec<Entry> {
        let offsets = self.offsets.iter().map(|(at, committed)| {
            let committed = Some(committed.clone());
            Entry::Offset(OffsetEntry {
                group: name.to_owned(),
                at: at.clone(),
                committed,
            })
        });
        std::iter::once(self.snapshot(name)).chain(offsets).collect()
    }

    /// Goes back to an agreed state; every member counts as heard of just now.
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
        client: member.client.clone(),
        host: member.host.clone(),
        instance: member.instance.clone(),
        session_ms: millis(member.session),
        rebalance_ms: millis(member.rebalance),
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
        client: entry.client,
        host: entry.host,
        instance: entry.instance,
        session: Duration::from_millis(entry.session_ms),
        rebalance: Duration::from_millis(entry.rebalance_ms),
        protocols: entry
            .protocols
            .into_iter()
            .map(|(name, bytes)| (name, bytes.into()))
            .collect(),
        assignment: entry.assignment.into(),
        seen: now,
        joining: None,
        syncing: None,
    }
}
