//! All topics of the broker.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use tracing::{info, warn};
use uuid::Uuid;

use super::{Topic, TopicSettings, check_name};
use crate::error::StorageError;
use crate::log::LogSettings;

/// Why a topic or partition was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The name is invalid.
    #[error("{0}")]
    Name(&'static str),
    /// The topic exists.
    #[error("topic '{0}' already exists")]
    Exists(String),
    /// The topic does not exist.
    #[error("topic does not exist")]
    Unknown,
    /// The number of partitions is not positive, or not larger than before.
    #[error("{0}")]
    Partitions(String),
    /// The broker's partition limit is reached.
    #[error("limit of {0} partitions reached (memory_limit.partitions)")]
    Limit(usize),
    /// The directory cannot be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Topics by name.
#[derive(Debug)]
pub struct Topics {
    root: PathBuf,
    log: LogSettings,
    limit: usize,
    by_name: RwLock<BTreeMap<String, Arc<Topic>>>,
}

impl Topics {
    /// Loads every topic in `data`; allows at most `limit` partitions.
    pub fn load(data: &Path, log: LogSettings, limit: usize) -> Result<Self, StorageError> {
        let topics = Topics {
            root: data.to_owned(),
            log,
            limit,
            by_name: RwLock::default(),
        };
        let folder = topics.root.join("topics");
        fs::create_dir_all(&folder).map_err(StorageError::at("create", &folder))?;
        topics.empty_trash();
        for entry in fs::read_dir(&folder).map_err(StorageError::at("list", &folder))? {
            let path = entry.map_err(StorageError::at("list", &folder))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            match Topic::load(&path, name, log)? {
                Some(topic) => drop(topics.write().insert(name.to_owned(), Arc::new(topic))),
                None => warn!(folder = %path.display(), "ignoring a directory without topic.json"),
            }
        }
        Ok(topics)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Arc<Topic>>> {
        self.by_name.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A topic by name.
    pub fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.by_name
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    /// A topic by id.
    pub fn by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.all().into_iter().find(|topic| topic.id == id)
    }

    /// Every topic, by name.
    pub fn all(&self) -> Vec<Arc<Topic>> {
        self.by_name
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// The checks of [`create`](Topics::create), without creating anything.
    pub fn check_create(&self, name: &str, partitions: i32) -> Result<usize, CreateError> {
        check_name(name).map_err(CreateError::Name)?;
        if self.get(name).is_some() {
            return Err(CreateError::Exists(name.to_owned()));
        }
        let positive = usize::try_from(partitions).ok().filter(|&count| count > 0);
        let count = positive.ok_or_else(|| {
            CreateError::Partitions(format!("invalid number of partitions {partitions}: must be at least 1"))
        })?;
        self.check_limit(count)?;
        Ok(count)
    }

    fn check_limit(&self, more: usize) -> Result<(), CreateError> {
        let existing: usize = self.all().iter().map(|topic| topic.partitions().len()).sum();
        if existing.saturating_add(more) > self.limit {
            Err(CreateError::Limit(self.limit))
        } else {
            Ok(())
        }
    }

    /// Creates a topic.
    pub fn create(&self, name: &str, partitions: i32, settings: TopicSettings) -> Result<Arc<Topic>, CreateError> {
        let count = self.check_create(name, partitions)?;
        let mut by_name = self.write();
        if by_name.contains_key(name) {
            return Err(CreateError::Exists(name.to_owned()));
        }
        let folder = self.root.join("topics").join(name);
        let topic = Topic::create(&folder, name, count, settings, self.log).inspect_err(|_| {
            let _partial = fs::remove_dir_all(&folder);
        })?;
        info!(topic = name, partitions = count, "topic created");
        let topic = Arc::new(topic);
        by_name.insert(name.to_owned(), Arc::clone(&topic));
        Ok(topic)
    }

    /// Checks whether a topic can be extended to `count` partitions.
    pub fn check_add_partitions(&self, name: &str, count: i32) -> Result<(Arc<Topic>, usize), CreateError> {
        let topic = self.get(name).ok_or(CreateError::Unknown)?;
        let now = topic.partitions().len();
        let wanted = usize::try_from(count)
            .ok()
            .filter(|&wanted| wanted > now)
            .ok_or_else(|| {
                CreateError::Partitions(format!(
                    "invalid number of partitions {count}: the topic already has {now}"
                ))
            })?;
        self.check_limit(wanted - now)?;
        Ok((topic, wanted))
    }

    /// Extends a topic to `count` partitions.
    pub fn add_partitions(&self, name: &str, count: i32) -> Result<(), CreateError> {
        let (topic, wanted) = self.check_add_partitions(name, count)?;
        Ok(topic.add_partitions(wanted, self.log)?)
    }

    /// Deletes a topic and wakes its waiting fetches. False if it does not exist.
    pub fn delete(&self, name: &str) -> Result<bool, StorageError> {
        let mut by_name = self.write();
        let Some(topic) = by_name.get(name).cloned() else {
            return Ok(false);
        };
        let trash = self.root.join("trash");
        fs::create_dir_all(&trash).map_err(StorageError::at("create", &trash))?;
        let deleted = trash.join(topic.id.to_string());
        fs::rename(topic.folder(), &deleted).map_err(StorageError::at("delete", topic.folder()))?;
        by_name.remove(name);
        drop(by_name);
        topic.partitions().iter().for_each(|partition| partition.wake());
        info!(topic = name, "topic deleted");
        self.empty_trash();
        Ok(true)
    }

    fn empty_trash(&self) {
        let trash = self.root.join("trash");
        if let Err(error) = fs::remove_dir_all(&trash)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            warn!(folder = %trash.display(), %error, "failed to empty the trash");
        }
    }
}
