//! All groups of a broker.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use kafka_protocol::ResponseError;
use tokio::sync::oneshot;
use tracing::error;

use super::{
    Committed, Entry, Group, GroupLimits, JoinAnswer, JoinRequest, Journal, OffsetEntry, RemovedEntry, State,
    SyncAnswer, SyncRequest, TopicPartition,
};
use crate::error::StorageError;

/// Who commits offsets.
#[derive(Debug, Clone, Default)]
pub struct Committer {
    /// Member id, empty for a client that is in no group.
    pub member: String,
    /// Name of a static member.
    pub instance: Option<String>,
    /// Generation, negative for a client that is in no group.
    pub generation: i32,
}

#[derive(Debug)]
struct Held {
    groups: BTreeMap<String, Group>,
    journal: Journal,
}

/// Groups by name, and the journal of what must survive.
#[derive(Debug)]
pub struct Groups {
    held: Mutex<Held>,
    limits: GroupLimits,
    most: usize,
}

impl Groups {
    /// Reads the journal; keeps at most `most` groups.
    pub fn load(path: &Path, limits: GroupLimits, most: usize, now: Instant) -> Result<Self, StorageError> {
        let (journal, entries) = Journal::open(path)?;
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for entry in entries {
            replay(&mut groups, limits, entry, now);
        }
        Ok(Groups {
            held: Mutex::new(Held { groups, journal }),
            limits,
            most,
        })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `act` work on a group, which is made if `create`; then writes what must survive.
    fn with<T>(
        &self,
        name: &str,
        create: bool,
        missing: ResponseError,
        act: impl FnOnce(&mut Group) -> T,
    ) -> Result<T, ResponseError> {
        if name.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let held = &mut *self.held();
        if !held.groups.contains_key(name) {
            if !create {
                return Err(missing);
            }
            if held.groups.len() >= self.most {
                return Err(ResponseError::GroupMaxSizeReached);
            }
            held.groups.insert(name.to_owned(), Group::new(self.limits));
        }
        let Some(group) = held.groups.get_mut(name) else {
            return Err(missing);
        };
        let result = act(group);
        save(name, group, &mut held.journal);
        if group.vain() && group.generation() == 0 {
            held.groups.remove(name);
        }
        Ok(result)
    }

    /// JoinGroup; the answer comes when the group has gathered.
    pub fn join(&self, name: &str, request: JoinRequest) -> Result<oneshot::Receiver<JoinAnswer>, ResponseError> {
        let (reply, answer) = oneshot::channel();
        let newcomer = request.member.is_empty();
        let act = |group: &mut Group| group.join(request, reply, Instant::now());
        self.with(name, newcomer, ResponseError::UnknownMemberId, act)?;
        Ok(answer)
    }

    /// SyncGroup; the answer comes when the leader has handed in the shares.
    pub fn sync(&self, name: &str, request: SyncRequest) -> Result<oneshot::Receiver<SyncAnswer>, ResponseError> {
        let (reply, answer) = oneshot::channel();
        let act = |group: &mut Group| group.sync(request, reply, Instant::now());
        self.with(name, false, ResponseError::UnknownMemberId, act)?;
        Ok(answer)
    }

    /// Heartbeat.
    pub fn heartbeat(&self, name: &str, from: &Committer) -> Result<(), ResponseError> {
        let act = |group: &mut Group| {
            group.heartbeat(&from.member, from.instance.as_deref(), from.generation, Instant::now())
        };
        self.with(name, false, ResponseError::UnknownMemberId, act)?
    }

    /// LeaveGroup of one member.
    pub fn leave(&self, name: &str, member: &str, instance: Option<&str>) -> Result<(), ResponseError> {
        let act = |group: &mut Group| group.leave(member, instance, Instant::now());
        self.with(name, false, ResponseError::UnknownMemberId, act)?
    }

    /// OffsetCommit: all offsets or none.
    pub fn commit(
        &self,
        name: &str,
        from: &Committer,
        offsets: Vec<(TopicPartition, Committed)>,
    ) -> Result<(), ResponseError> {
        let alone = from.generation < 0;
        let allowed = |group: &mut Group| group.may_commit(from, Instant::now());
        self.with(name, alone, ResponseError::IllegalGeneration, allowed)??;
        let held = &mut *self.held();
        let entry = |(at, committed): &(TopicPartition, Committed)| {
            let (at, committed) = (at.clone(), Some(committed.clone()));
            Entry::Offset(OffsetEntry {
                group: name.to_owned(),
                at,
                committed,
            })
        };
        held.journal
            .append(&offsets.iter().map(entry).collect::<Vec<_>>())
            .map_err(not_written)?;
        let group = held
            .groups
            .entry(name.to_owned())
            .or_insert_with(|| Group::new(self.limits));
        group.offsets.extend(offsets);
        Ok(())
    }

    /// Looks at a group; `None` if there is none.
    pub fn look<T>(&self, name: &str, look: impl FnOnce(&Group) -> T) -> Option<T> {
        self.held().groups.get(name).map(look)
    }

    /// Looks at every group.
    pub fn list<T>(&self, look: impl Fn(&str, &Group) -> T) -> Vec<T> {
        self.held()
            .groups
            .iter()
            .map(|(name, group)| look(name, group))
            .collect()
    }

    /// Deletes a group without members.
    pub fn delete(&self, name: &str) -> Result<(), ResponseError> {
        let held = &mut *self.held();
        let group = held.groups.get(name).ok_or(ResponseError::GroupIdNotFound)?;
        if group.state() != State::Empty {
            return Err(ResponseError::NonEmptyGroup);
        }
        let entry = Entry::Removed(RemovedEntry { group: name.to_owned() });
        held.journal.append(&[entry]).map_err(not_written)?;
        held.groups.remove(name);
        Ok(())
    }

    /// Deletes offsets of a group (OffsetDelete).
    pub fn forget(&self, name: &str, offsets: &[TopicPartition]) -> Result<(), ResponseError> {
        let held = &mut *self.held();
        let group = held.groups.get_mut(name).ok_or(ResponseError::GroupIdNotFound)?;
        if group.state() != State::Empty && group.protocol_type() == "consumer" {
            return Err(ResponseError::NonEmptyGroup);
        }
        forget(name, group, &mut held.journal, offsets)
    }

    /// Deletes every offset that was committed for a topic, because the topic is gone.
    pub fn forget_topic(&self, topic: &str) {
        let held = &mut *self.held();
        for (name, group) in &mut held.groups {
            let gone: Vec<_> = group.offsets.keys().filter(|at| at.topic == topic).cloned().collect();
            let _logged = forget(name, group, &mut held.journal, &gone);
        }
    }

    /// Lets time pass for every group, and keeps the journal short.
    pub fn tick(&self, now: Instant) {
        let held = &mut *self.held();
        for (name, group) in &mut held.groups {
            group.tick(now);
            save(name, group, &mut held.journal);
        }
        if held.journal.bloated() {
            let entries: Vec<_> = held
                .groups
                .iter()
                .flat_map(|(name, group)| group.entries(name))
                .collect();
            if let Err(problem) = held.journal.rewrite(&entries) {
                error!(%problem, "group journal not compacted");
            }
        }
    }

    /// Forgets offsets of groups that are empty and committed nothing since `before_ms` (ms since 1970).
    pub fn expire(&self, before_ms: i64) {
        let old = |group: &Group| {
            group.state() == State::Empty && group.offsets.values().all(|committed| committed.at_ms < before_ms)
        };
        let names = self.list(|name, group| (old(group) && !group.offsets.is_empty()).then(|| name.to_owned()));
        for name in names.into_iter().flatten() {
            let _logged = self.delete(&name);
        }
    }

    /// The journal's file if it has unforced entries; the caller forces it.
    pub fn take_dirty(&self) -> Option<Arc<File>> {
        self.held().journal.take_dirty()
    }
}

impl Group {
    /// Whether a commit comes from someone who may commit. It is also a sign of life.
    fn may_commit(&mut self, from: &Committer, now: Instant) -> Result<(), ResponseError> {
        if from.generation < 0 && from.member.is_empty() && self.members.is_empty() {
            return Ok(());
        }
        self.check_member(&from.member, from.instance.as_deref(), from.generation)?;
        if let Some(member) = self.members.get_mut(&from.member) {
            member.seen = now;
        }
        match self.state {
            State::Completing { .. } => Err(ResponseError::RebalanceInProgress),
            _ => Ok(()),
        }
    }
}

/// Writes a group's agreed state if it has changed. A failure costs a rebalance after the next restart, no more.
fn save(name: &str, group: &mut Group, journal: &mut Journal) {
    let agreed = matches!(group.state(), State::Stable | State::Empty);
    if agreed
        && std::mem::take(&mut group.changed)
        && let Err(problem) = journal.append(&[group.snapshot(name)])
    {
        error!(group = name, %problem, "group state not written");
    }
}

fn forget(name: &str, group: &mut Group, journal: &mut Journal, gone: &[TopicPartition]) -> Result<(), ResponseError> {
    let entry = |at: &TopicPartition| {
        Entry::Offset(OffsetEntry {
            group: name.to_owned(),
            at: at.clone(),
            committed: None,
        })
    };
    journal
        .append(&gone.iter().map(entry).collect::<Vec<_>>())
        .map_err(not_written)?;
    gone.iter().for_each(|at| drop(group.offsets.remove(at)));
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "used by map_err")]
fn not_written(problem: StorageError) -> ResponseError {
    error!(%problem, "offsets not written");
    ResponseError::CoordinatorNotAvailable
}

fn replay(groups: &mut BTreeMap<String, Group>, limits: GroupLimits, entry: Entry, now: Instant) {
    match entry {
        Entry::Removed(removed) => drop(groups.remove(&removed.group)),
        Entry::Group(state) => {
            groups
                .entry(state.group.clone())
                .or_insert_with(|| Group::new(limits))
                .restore(state, now);
        }
        Entry::Offset(OffsetEntry { group, at, committed }) => {
            let group = groups.entry(group).or_insert_with(|| Group::new(limits));
            match committed {
                Some(committed) => drop(group.offsets.insert(at, committed)),
                None => drop(group.offsets.remove(&at)),
            }
        }
    }
}
