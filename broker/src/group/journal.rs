//! What must survive a restart of the broker: committed offsets and the last agreed state of each group.
//!
//! One append-only file of entries, each `length: u32, crc32c: u32, JSON`. When the file has grown to several
//! times what is still true, it is written anew.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{Committed, TopicPartition};
use crate::error::StorageError;

/// Bytes below which the file is never written anew.
const COMPACT_FROM: u64 = 1 << 20;

/// An offset was committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OffsetEntry {
    /// The group.
    pub group: String,
    /// The partition.
    pub at: TopicPartition,
    /// The offset; `None` when it was deleted.
    pub committed: Option<Committed>,
}

/// A member of an agreed group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberEntry {
    /// Its id.
    pub id: String,
    /// The client's name for itself.
    pub client: String,
    /// The client's address.
    pub host: String,
    /// Name of a static member.
    pub instance: Option<String>,
    /// Session time-out in ms.
    pub session_ms: u64,
    /// Rebalance time-out in ms.
    pub rebalance_ms: u64,
    /// Protocols and subscriptions.
    pub protocols: Vec<(String, Vec<u8>)>,
    /// Its share.
    pub assignment: Vec<u8>,
}

/// A group agreed on its shares, or lost its last member.
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
    /// The leader's id.
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
    /// An offset.
    Offset(OffsetEntry),
    /// A group's state.
    Group(GroupEntry),
    /// A deletion.
    Removed(RemovedEntry),
}

/// The file.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Arc<File>,
    size: u64,
    size_at_compaction: u64,
    dirty: bool,
}

impl Journal {
    /// Opens or makes the file and reads what it says; a torn tail is cut off.
    pub fn open(path: &Path) -> Result<(Self, Vec<Entry>), StorageError> {
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        let file = open.map_err(StorageError::at("open", path))?;
        let bytes = fs::read(path).map_err(StorageError::at("read", path))?;
        let (entries, good) = decode_all(&bytes);
        if good < bytes.len() {
            warn!(file = %path.display(), kept_bytes = good, cut_bytes = bytes.len() - good, "torn tail cut off");
            file.set_len(good as u64).map_err(StorageError::at("cut", path))?;
        }
        let size = good as u64;
        let journal = Journal {
            path: path.to_owned(),
            file: Arc::new(file),
            size,
            size_at_compaction: size,
            dirty: false,
        };
        Ok((journal, entries))
    }

    /// Writes entries behind the last one, all or none.
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

    /// Whether it pays to write the file anew.
    pub fn bloated(&self) -> bool {
        self.size > COMPACT_FROM.max(4 * self.size_at_compaction)
    }

    /// Replaces the file by one that holds only `entries`.
    pub fn rewrite(&mut self, entries: &[Entry]) -> Result<(), StorageError> {
        let bytes = encode_all(entries).map_err(StorageError::at("encode for", &self.path))?;
        crate::files::write_atomic(&self.path, &bytes)?;
        let open = OpenOptions::new().read(true).write(true).open(&self.path);
        self.file = Arc::new(open.map_err(StorageError::at("open", &self.path))?);
        self.size = bytes.len() as u64;
        self.size_at_compaction = self.size;
        self.dirty = false;
        Ok(())
    }

    /// The file, if it holds unforced entries; the caller forces it.
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

/// The entries, and how many bytes of them are good.
fn decode_all(bytes: &[u8]) -> (Vec<Entry>, usize) {
    let mut entries = Vec::new();
    let mut good = 0;
    while let Some((entry, size)) = decode(&bytes[good..]) {
        entries.push(entry);
        good += size;
    }
    (entries, good)
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
    fn entries_survive_and_a_torn_tail_is_cut() {
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
    fn rewriting_keeps_what_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("groups.log");
        let (mut journal, _) = Journal::open(&path).unwrap();
        journal.append(&[removed("a"), removed("b")]).unwrap();
        journal.rewrite(&[removed("b")]).unwrap();
        journal.append(&[removed("c")]).unwrap();
        assert_eq!(Journal::open(&path).unwrap().1, [removed("b"), removed("c")]);
    }
}
