//! The group coordinator: all groups of the broker.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use kafka_protocol::ResponseError;
use tokio::sync::oneshot;
use tracing::error;

use super::journal::{CommittedOffset, Entry, Journal, OffsetEntry, RemovedEntry, TopicPartition};
use super::member::{JoinRequest, JoinResponse, MemberContext, SyncRequest, SyncResponse};
use super::state_machine::{Group, GroupLimits, State};
use crate::error::StorageError;

#[derive(Debug)]
struct Inner {
    groups: BTreeMap<String, Group>,
    journal: Journal,
}

/// Groups by name, and their journal.
#[derive(Debug)]
pub struct Groups {
    inner: Mutex<Inner>,
    limits: GroupLimits,
    max_groups: usize,
}

impl Groups {
    /// Loads the groups from the journal; allows at most `max_groups`.
    pub fn load(path: &Path, limits: GroupLimits, max_groups: usize, now: Instant) -> Result<Self, StorageError> {
        let (journal, entries) = Journal::open(path)?;
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for entry in entries {
            replay(&mut groups, limits, entry, now);
        }
        Ok(Groups {
            inner: Mutex::new(Inner { groups, journal }),
            limits,
            max_groups,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies `act` to a group, creating it if `create`, and then writes its changed state.
    fn update<T>(
        &self,
        name: &str,
        create: bool,
        missing: ResponseError,
        act: impl FnOnce(&mut Group) -> T,
    ) -> Result<T, ResponseError> {
        if name.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let inner = &mut *self.lock();
        if !inner.groups.contains_key(name) {
            if !create {
                return Err(missing);
            }
            if inner.groups.len() >= self.max_groups {
                return Err(ResponseError::GroupMaxSizeReached);
            }
            inner.groups.insert(name.to_owned(), Group::new(self.limits));
        }
        let Some(group) = inner.groups.get_mut(name) else {
            return Err(missing);
        };
        let result = act(group);
        save(name, group, &mut inner.journal);
        if group.is_unused() && group.generation() == 0 {
            inner.groups.remove(name);
        }
        Ok(result)
    }

    /// JoinGroup; the response is sent when the join phase is complete.
    pub fn join(&self, name: &str, request: JoinRequest) -> Result<oneshot::Receiver<JoinResponse>, ResponseError> {
        let (reply, response) = oneshot::channel();
        let is_new = request.member_id.is_empty();
        let act = |group: &mut Group| group.join(request, reply, Instant::now());
        self.update(name, is_new, ResponseError::UnknownMemberId, act)?;
        Ok(response)
    }

    /// SyncGroup; the response is sent when the leader has sent the assignments.
    pub fn sync(&self, name: &str, request: SyncRequest) -> Result<oneshot::Receiver<SyncResponse>, ResponseError> {
        let (reply, response) = oneshot::channel();
        let act = |group: &mut Group| group.sync(request, reply, Instant::now());
        self.update(name, false, ResponseError::UnknownMemberId, act)?;
        Ok(response)
    }

    /// Heartbeat.
    pub fn heartbeat(&self, name: &str, from: &MemberContext) -> Result<(), ResponseError> {
        let act = |group: &mut Group| group.heartbeat(from, Instant::now());
        self.update(name, false, ResponseError::UnknownMemberId, act)?
    }

    /// LeaveGroup of one member.
    pub fn leave(&self, name: &str, member_id: &str, instance_id: Option<&str>) -> Result<(), ResponseError> {
        let act = |group: &mut Group| group.leave(member_id, instance_id, Instant::now());
        self.update(name, false, ResponseError::UnknownMemberId, act)?
    }

    /// OffsetCommit: all offsets or none.
    pub fn commit(
        &self,
        name: &str,
        from: &MemberContext,
        offsets: Vec<(TopicPartition, CommittedOffset)>,
    ) -> Result<(), ResponseError> {
        let no_member = from.generation < 0;
        let check = |group: &mut Group| group.check_commit(from, Instant::now());
        self.update(name, no_member, ResponseError::IllegalGeneration, check)??;
        let inner = &mut *self.lock();
        let entry = |(partition, committed): &(TopicPartition, CommittedOffset)| {
            Entry::offset(name, partition, Some(committed))
        };
        inner
            .journal
            .append(&offsets.iter().map(entry).collect::<Vec<_>>())
            .map_err(write_failed)?;
        let group = inner
            .groups
            .entry(name.to_owned())
            .or_insert_with(|| Group::new(self.limits));
        group.offsets.extend(offsets);
        Ok(())
    }

    /// Reads a group; `None` if it does not exist.
    pub fn with_group<T>(&self, name: &str, read: impl FnOnce(&Group) -> T) -> Option<T> {
        self.lock().groups.get(name).map(read)
    }

    /// Reads every group.
    pub fn list<T>(&self, read: impl Fn(&str, &Group) -> T) -> Vec<T> {
        self.lock()
            .groups
            .iter()
            .map(|(name, group)| read(name, group))
            .collect()
    }

    /// Deletes a group without members.
    pub fn delete(&self, name: &str) -> Result<(), ResponseError> {
        let inner = &mut *self.lock();
        let group = inner.groups.get(name).ok_or(ResponseError::GroupIdNotFound)?;
        if group.state() != State::Empty {
            return Err(ResponseError::NonEmptyGroup);
        }
        let entry = Entry::Removed(RemovedEntry { group: name.to_owned() });
        inner.journal.append(&[entry]).map_err(write_failed)?;
        inner.groups.remove(name);
        Ok(())
    }

    /// Deletes committed offsets of a group (OffsetDelete).
    pub fn delete_offsets(&self, name: &str, offsets: &[TopicPartition]) -> Result<(), ResponseError> {
        let inner = &mut *self.lock();
        let group = inner.groups.get_mut(name).ok_or(ResponseError::GroupIdNotFound)?;
        if group.state() != State::Empty && group.protocol_type() == "consumer" {
            return Err(ResponseError::NonEmptyGroup);
        }
        delete_offsets(name, group, &mut inner.journal, offsets)
    }

    /// Deletes all offsets committed for a deleted topic.
    pub fn delete_topic_offsets(&self, topic: &str) {
        let inner = &mut *self.lock();
        for (name, group) in &mut inner.groups {
            let deleted: Vec<_> = group.offsets.keys().filter(|at| at.topic == topic).cloned().collect();
            let _logged = delete_offsets(name, group, &mut inner.journal, &deleted);
        }
    }

    /// Applies timeouts to every group and compacts the journal if needed.
    pub fn tick(&self, now: Instant) {
        let inner = &mut *self.lock();
        for (name, group) in &mut inner.groups {
            group.tick(now);
            save(name, group, &mut inner.journal);
        }
        if inner.journal.needs_compaction() {
            let entries: Vec<_> = inner
                .groups
                .iter()
                .flat_map(|(name, group)| group.entries(name))
                .collect();
            if let Err(error) = inner.journal.compact(&entries) {
                error!(%error, "failed to compact the group journal");
            }
        }
    }

    /// Deletes groups that are empty and whose last commit is older than `before_ms` (ms since the Unix epoch).
    pub fn expire(&self, before_ms: i64) {
        let old = |group: &Group| {
            group.state() == State::Empty
                && group
                    .offsets
                    .values()
                    .all(|committed| committed.committed_at_ms < before_ms)
        };
        let names = self.list(|name, group| (old(group) && !group.offsets.is_empty()).then(|| name.to_owned()));
        for name in names.into_iter().flatten() {
            let _logged = self.delete(&name);
        }
    }

    /// The journal file if it has unsynced entries; the caller syncs it.
    pub fn take_dirty(&self) -> Option<Arc<File>> {
        self.lock().journal.take_dirty()
    }
}

/// Writes a group's state if it has changed and no rebalance is in progress. A failure only causes a rebalance after
/// the next restart.
fn save(name: &str, group: &mut Group, journal: &mut Journal) {
    let settled = matches!(group.state(), State::Stable | State::Empty);
    if settled
        && std::mem::take(&mut group.dirty)
        && let Err(error) = journal.append(&[group.snapshot(name)])
    {
        error!(group = name, %error, "failed to write the group state");
    }
}

fn delete_offsets(
    name: &str,
    group: &mut Group,
    journal: &mut Journal,
    deleted: &[TopicPartition],
) -> Result<(), ResponseError> {
    let entries: Vec<_> = deleted.iter().map(|at| Entry::offset(name, at, None)).collect();
    journal.append(&entries).map_err(write_failed)?;
    deleted.iter().for_each(|at| drop(group.offsets.remove(at)));
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "used by map_err")]
fn write_failed(error: StorageError) -> ResponseError {
    error!(%error, "failed to write offsets");
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
        Entry::Offset(OffsetEntry {
            group,
            partition,
            committed,
        }) => {
            let group = groups.entry(group).or_insert_with(|| Group::new(limits));
            match committed {
                Some(committed) => drop(group.offsets.insert(partition, committed)),
                None => drop(group.offsets.remove(&partition)),
            }
        }
    }
}
