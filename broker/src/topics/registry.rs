//! All topics of a broker.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use tracing::{info, warn};
use uuid::Uuid;

use super::{Topic, TopicSettings, check_name};
use crate::error::StorageError;
use crate::log::LogSettings;

/// Why a topic was not created or enlarged.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The name is not allowed.
    #[error("{0}")]
    Name(&'static str),
    /// There is one already.
    #[error("topic '{0}' already exists")]
    Exists(String),
    /// There is none.
    #[error("topic does not exist")]
    Unknown,
    /// The number of partitions is not positive, or not more than before.
    #[error("{0}")]
    Partitions(String),
    /// The broker's limit on partitions.
    #[error("this broker keeps at most {0} partitions (see memory_limit.partitions)")]
    Limit(usize),
    /// The folder could not be written.
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
    /// Loads every topic under `data`; keeps at most `limit` partitions.
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
                None => warn!(folder = %path.display(), "folder without topic.json left alone"),
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

    /// Checks what [`create`](Topics::create) checks and makes nothing.
    pub fn check(&self, name: &str, partitions: i32) -> Result<usize, CreateError> {
        check_name(name).map_err(CreateError::Name)?;
        if self.get(name).is_some() {
            return Err(CreateError::Exists(name.to_owned()));
        }
        let positive = usize::try_from(partitions).ok().filter(|&count| count > 0);
        let count = positive.ok_or_else(|| {
            CreateError::Partitions(format!("number of partitions must be larger than 0, not {partitions}"))
        })?;
        self.check_limit(count)?;
        Ok(count)
    }

    fn check_limit(&self, more: usize) -> Result<(), CreateError> {
        let kept: usize = self.all().iter().map(|topic| topic.partitions().len()).sum();
        if kept.saturating_add(more) > self.limit {
            Err(CreateError::Limit(self.limit))
        } else {
            Ok(())
        }
    }

    /// Makes a topic.
    pub fn create(&self, name: &str, partitions: i32, settings: TopicSettings) -> Result<Arc<Topic>, CreateError> {
        let count = self.check(name, partitions)?;
        let mut by_name = self.write();
        if by_name.contains_key(name) {
            return Err(CreateError::Exists(name.to_owned()));
        }
        let folder = self.root.join("topics").join(name);
        let topic = Topic::create(&folder, name, count, settings, self.log).inspect_err(|_| {
            let _half_made = fs::remove_dir_all(&folder);
        })?;
        info!(topic = name, partitions = count, "topic created");
        let topic = Arc::new(topic);
        by_name.insert(name.to_owned(), Arc::clone(&topic));
        Ok(topic)
    }

    /// Checks an enlargement to `count` partitions.
    pub fn check_growth(&self, name: &str, count: i32) -> Result<(Arc<Topic>, usize), CreateError> {
        let topic = self.get(name).ok_or(CreateError::Unknown)?;
        let now = topic.partitions().len();
        let wanted = usize::try_from(count)
            .ok()
            .filter(|&wanted| wanted > now)
            .ok_or_else(|| {
                CreateError::Partitions(format!("topic has {now} partitions already, {count} is not more"))
            })?;
        self.check_limit(wanted - now)?;
        Ok((topic, wanted))
    }

    /// Enlarges a topic to `count` partitions.
    pub fn grow(&self, name: &str, count: i32) -> Result<(), CreateError> {
        let (topic, wanted) = self.check_growth(name, count)?;
        Ok(topic.grow(wanted, self.log)?)
    }

    /// Deletes a topic; waiting fetches find out at once. False if there is none.
    pub fn delete(&self, name: &str) -> Result<bool, StorageError> {
        let mut by_name = self.write();
        let Some(topic) = by_name.get(name).cloned() else {
            return Ok(false);
        };
        let trash = self.root.join("trash");
        fs::create_dir_all(&trash).map_err(StorageError::at("create", &trash))?;
        let grave = trash.join(topic.id.to_string());
        fs::rename(topic.folder(), &grave).map_err(StorageError::at("delete", topic.folder()))?;
        by_name.remove(name);
        drop(by_name);
        topic.partitions().iter().for_each(|partition| partition.wake());
        info!(topic = name, "topic deleted");
        self.empty_trash();
        Ok(true)
    }

    fn empty_trash(&self) {
        let trash = self.root.join("trash");
        if let Err(problem) = fs::remove_dir_all(&trash)
            && problem.kind() != std::io::ErrorKind::NotFound
        {
            warn!(folder = %trash.display(), %problem, "trash not emptied");
        }
    }
}
