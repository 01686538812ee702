//! A topic, and the rule for topic names.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Partition, TopicSettings};
use crate::error::StorageError;
use crate::files;
use crate::log::LogSettings;

/// The content of `topic.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TopicFile {
    id: Uuid,
    partitions: usize,
    settings: TopicSettings,
}

/// A topic.
#[derive(Debug)]
pub struct Topic {
    /// The name; valid.
    pub name: String,
    /// The id; not reused after deletion.
    pub id: Uuid,
    folder: PathBuf,
    partitions: RwLock<Vec<Arc<Partition>>>,
    settings: RwLock<TopicSettings>,
}

impl Topic {
    /// Creates the topic's directory and partitions.
    pub fn create(
        folder: &Path,
        name: &str,
        count: usize,
        settings: TopicSettings,
        log: LogSettings,
    ) -> Result<Self, StorageError> {
        let topic = Topic {
            name: name.to_owned(),
            id: Uuid::new_v4(),
            folder: folder.to_owned(),
            partitions: RwLock::default(),
            settings: RwLock::new(settings),
        };
        topic.add_partitions(count, log)?;
        Ok(topic)
    }

    /// Loads a topic; `None` for a directory without `topic.json` (an incomplete creation).
    pub fn load(folder: &Path, name: &str, log: LogSettings) -> Result<Option<Self>, StorageError> {
        let path = folder.join("topic.json");
        let Some(content) = files::read_optional(&path)? else {
            return Ok(None);
        };
        let stored: TopicFile =
            serde_json::from_slice(&content).map_err(|e| StorageError::at("parse", &path)(e.into()))?;
        let open = |index: usize| Partition::open(&folder.join(index.to_string()), log).map(Arc::new);
        let partitions = (0..stored.partitions).map(open).collect::<Result<_, _>>()?;
        Ok(Some(Topic {
            name: name.to_owned(),
            id: stored.id,
            folder: folder.to_owned(),
            partitions: RwLock::new(partitions),
            settings: RwLock::new(stored.settings),
        }))
    }

    /// Adds partitions until there are `count`.
    pub fn add_partitions(&self, count: usize, log: LogSettings) -> Result<(), StorageError> {
        let mut partitions = self.partitions.write().unwrap_or_else(PoisonError::into_inner);
        let mut added = Vec::new();
        for index in partitions.len()..count {
            added.push(Arc::new(Partition::open(&self.folder.join(index.to_string()), log)?));
        }
        self.store(count, &self.settings())?;
        partitions.extend(added);
        Ok(())
    }

    /// Changes the settings.
    pub fn set(&self, settings: TopicSettings) -> Result<(), StorageError> {
        self.store(self.partitions().len(), &settings)?;
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
        Ok(())
    }

    fn store(&self, partitions: usize, settings: &TopicSettings) -> Result<(), StorageError> {
        let path = self.folder.join("topic.json");
        let stored = TopicFile {
            id: self.id,
            partitions,
            settings: settings.clone(),
        };
        let content = serde_json::to_vec_pretty(&stored).map_err(|e| StorageError::at("encode", &path)(e.into()))?;
        files::write_atomic(&path, &content)
    }

    /// A partition by index.
    pub fn partition(&self, index: i32) -> Option<Arc<Partition>> {
        let index = usize::try_from(index).ok()?;
        self.partitions
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(index)
            .cloned()
    }

    /// Every partition, in order.
    pub fn partitions(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The settings.
    pub fn settings(&self) -> TopicSettings {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Maximum length of a name in bytes, as in Apache Kafka.
const MAX_NAME: usize = 249;

/// Checks a topic name. A valid name is also safe as a directory name.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    match name {
        "" => Err("invalid topic name: empty"),
        "." | ".." => Err("invalid topic name: '.' and '..' are not allowed"),
        _ if name.len() > MAX_NAME => Err("invalid topic name: longer than 249 characters"),
        _ if !name.bytes().all(allowed) => {
            Err("invalid topic name: only ASCII letters, digits, '.', '_' and '-' are allowed")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_invalid_names() {
        for name in ["", ".", "..", "a/b", "../x", "a\0", "ä", &"x".repeat(250)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        assert_eq!(check_name("jung.controller-1_x"), Ok(()));
    }
}
