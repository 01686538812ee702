//! The journal of what must survive a restart: committed offsets and the last state of each group.
//!
//! One append-only file of entries, each `length: u32, crc32c: u32, JSON`. The file is compacted when it has grown
//! to several times its size after the last compaction.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::error::StorageError;

/// Minimum size in bytes for compaction.
const MIN_COMPACTION_SIZE: u64 = 1 << 20;

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicPartition {
    /// The topic name.
    pub topic: String,
    /// The partition index.
    pub partition: i32,
}

/// An offset that a group has committed for a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommittedOffset {
    /// Offset of the next record to read.
    pub offset: i64,
    /// Leader epoch known to the client; -1 for none.
    #[serde(rename = "epoch")]
    pub leader_epoch: i32,
    /// Metadata from the client.
    pub metadata: String,
    /// Commit time in ms since the Unix epoch.
    #[serde(rename = "at_ms")]
    pub committed_at_ms: i64,
}

/// An offset was committed or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OffsetEntry {
    /// The group.
    pub group: String,
    /// The partition.
    #[serde(rename = "at")]
    pub partition: TopicPartition,
    /// The offset; `None` if it was deleted.
    pub committed: Option<CommittedOffset>,
}

/// A member of a recorded group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberEntry {
    /// The member id.
    pub id: String,
    /// The client id.
    #[serde(rename = "client")]
    pub client_id: String,
    /// The client's address.
    #[serde(rename = "host")]
    pub client_host: String,
    /// Instance id of a static member.
    #[serde(rename = "instance")]
    pub instance_id: Option<String>,
    /// Session timeout in ms.
    #[serde(rename = "session_ms")]
    pub session_timeout_ms: u64,
    /// Rebalance timeout in ms.
    #[serde(rename = "rebalance_ms")]
    pub rebalance_timeout_ms: u64,
    /// Protocols and subscriptions.
    pub protocols: Vec<(String, Vec<u8>)>,
    /// Its assignment.
    pub assignment: Vec<u8>,
}

/// A group completed a rebalance, or lost its last member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupEntry {
    /// The group.
    pub group: String,
    /// The generation.
    pub generation: i32,
    /// The protocol type.
    pub protocol_type: Option<String>,
    /// The protocol.
    pub protocol: Option<String>,
    /// The leader's member id.
    pub leader: Option<String>,
    /// The members.
    pub members: Vec<MemberEntry>,
}

/// A group was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemovedEntry {
    /// The group.
    pub group: String,
}

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// A committed or deleted offset.
    Offset(OffsetEntry),
    /// A group's state.
    Group(GroupEntry),
    /// A deleted group.
    Removed(RemovedEntry),
}

impl Entry {
    /// A committed offset, or a deleted one for `None`.
    pub fn offset(group: &str, partition: &TopicPartition, committed: Option<&CommittedOffset>) -> Self {
        Entry::Offset(OffsetEntry {
            group: group.to_owned(),
            partition: partition.clone(),
            committed: committed.cloned(),
        })
    }
}

/// The journal file.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Arc<File>,
    size: u64,
    size_at_compaction: u64,
    dirty: bool,
}

impl Journal {
    /// Opens or creates the file and reads its entries; an incomplete tail is truncated.
    pub fn open(path: &Path) -> Result<(Self, Vec<Entry>), StorageError> {
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        let file = open.map_err(StorageError::at("open", path))?;
        let bytes = fs::read(path).map_err(StorageError::at("read", path))?;
        let (entries, valid) = decode_all(&bytes);
        if valid < bytes.len() {
            let truncated_bytes = bytes.len() - valid;
            warn!(file = %path.display(), kept_bytes = valid, truncated_bytes, "truncated an incomplete tail");
            file.set_len(valid as u64).map_err(StorageError::at("truncate", path))?;
        }
        let size = valid as u64;
        let journal = Journal {
            path: path.to_owned(),
            file: Arc::new(file),
            size,
            size_at_compaction: size,
            dirty: false,
        };
        Ok((journal, entries))
    }

    /// Appends entries, all or none.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), StorageError> {
        let bytes = encode_all(entries).map_err(StorageError::at("encode for", &self.path))?;
        if let Err(source) = self.file.write_all_at(&bytes, self.size) {
            let _torn = self.file.set_len(self.size);
            return Err(StorageError::at("append to", &self.path)(source));
        }
        self.size += bytes.len() as u64;
        self.dirty = true;
        Ok(())
    }

    /// Whether the file should be compacted.
    pub fn needs_compaction(&self) -> bool {
        self.size > MIN_COMPACTION_SIZE.max(4 * self.size_at_compaction)
    }

    /// Replaces the content of the file with `entries`.
    pub fn compact(&mut self, entries: &[Entry]) -> Result<(), StorageError> {
        let bytes = encode_all(entries).map_err(StorageError::at("encode for", &self.path))?;
        crate::files::write_atomic(&self.path, &bytes)?;
        let open = OpenOptions::new().read(true).write(true).open(&self.path);
        self.file = Arc::new(open.map_err(StorageError::at("open", &self.path))?);
        self.size = bytes.len() as u64;
        self.size_at_compaction = self.size;
        self.dirty = false;
        Ok(())
    }

    /// The file if it has unsynced entries; the caller syncs it.
    pub fn take_dirty(&mut self) -> Option<Arc<File>> {
        std::mem::take(&mut self.dirty).then(|| Arc::clone(&self.file))
    }
}

fn encode_all(entries: &[Entry]) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in entries {
        let json = serde_json::to_vec(entry)?;
        let length = u32::try_from(json.len()).map_err(|_| std::io::ErrorKind::InvalidInput)?;
        bytes.extend(length.to_be_bytes());
        bytes.extend(crc32c::crc32c(&json).to_be_bytes());
        bytes.extend(json);
    }
    Ok(bytes)
}

/// The valid entries and their total size in bytes.
fn decode_all(bytes: &[u8]) -> (Vec<Entry>, usize) {
    let mut entries = Vec::new();
    let mut valid = 0;
    while let Some((entry, size)) = decode(&bytes[valid..]) {
        entries.push(entry);
        valid += size;
    }
    (entries, valid)
}

fn decode(bytes: &[u8]) -> Option<(Entry, usize)> {
    let length = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
    let crc = u32::from_be_bytes(*bytes.get(4..)?.first_chunk()?);
    let json = bytes.get(8..)?.get(..length)?;
    let entry = (crc32c::crc32c(json) == crc).then(|| serde_json::from_slice(json).ok())??;
    Some((entry, 8 + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removed(group: &str) -> Entry {
        Entry::Removed(RemovedEntry {
            group: group.to_owned(),
        })
    }

    #[test]
    fn entries_are_read_back_and_an_incomplete_tail_is_truncated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("groups.log");
        let (mut journal, none) = Journal::open(&path).unwrap();
        assert!(none.is_empty());
        journal.append(&[removed("a"), removed("b")]).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let (mut journal, entries) = Journal::open(&path).unwrap();
            assert_eq!(entries.len(), usize::from(length >= whole.len() / 2));
            journal.append(&[removed("c")]).unwrap();
            let (_, entries) = Journal::open(&path).unwrap();
            assert_eq!(entries.last(), Some(&removed("c")));
        }
    }

    #[test]
    fn compaction_keeps_the_given_entries() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("groups.log");
        let (mut journal, _) = Journal::open(&path).unwrap();
        journal.append(&[removed("a"), removed("b")]).unwrap();
        journal.compact(&[removed("b")]).unwrap();
        journal.append(&[removed("c")]).unwrap();
        assert_eq!(Journal::open(&path).unwrap().1, [removed("b"), removed("c")]);
    }
}
