//! The state shared by all connections.

use std::fs::{self, File};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tracing::{error, info};
use uuid::Uuid;

use crate::config::{Config, FsyncPolicy};
use crate::error::{StartError, StorageError};
use crate::files;
use crate::group::{GroupLimits, Groups};
use crate::log::LogSettings;
use crate::topics::Topics;

/// The node id of this broker, the only one in its cluster.
pub const NODE_ID: i32 = 1;
/// Producer ids reserved in `broker.json` per write.
const PRODUCER_ID_BLOCK: i64 = 1000;
/// Retention of the offsets of an empty group, as in Apache Kafka.
const OFFSETS_RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

/// The content of `broker.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    format: u32,
    cluster_id: Uuid,
    next_producer_id: i64,
}

#[derive(Debug)]
struct ProducerIds {
    identity: Identity,
    next: i64,
}

/// The state of a running broker.
#[derive(Debug)]
pub struct Node {
    /// The configuration.
    pub config: Config,
    /// The topics.
    pub topics: Topics,
    /// The consumer groups.
    pub groups: Groups,
    /// Bytes of records that fetch responses may hold in memory.
    pub fetch_memory: Arc<Semaphore>,
    /// The cluster id, generated at the first start.
    pub cluster_id: String,
    producer_ids: Mutex<ProducerIds>,
    /// Keeps other brokers out of the data directory.
    _lock: File,
}

impl Node {
    /// Loads the data directory.
    pub fn load(config: Config) -> Result<Self, StartError> {
        let data = config.data.clone();
        fs::create_dir_all(&data).map_err(StorageError::at("create", &data))?;
        let lock = lock_data(&data)?;
        let limit = config.memory_limit;
        let log = LogSettings {
            segment_bytes: config.segment_bytes,
            max_batch: config.max_batch,
            producers: limit.producers,
        };
        let group_limits = GroupLimits {
            members: limit.group_members,
            min_session_timeout: config.session_timeout_min,
        };
        let identity = load_identity(&data)?;
        Ok(Node {
            topics: Topics::load(&data, log, limit.partitions)?,
            groups: Groups::load(&data.join("groups.log"), group_limits, limit.groups, Instant::now())?,
            fetch_memory: Arc::new(Semaphore::new(limit.fetch_bytes_total.max(limit.fetch_bytes))),
            cluster_id: identity.cluster_id.simple().to_string(),
            producer_ids: Mutex::new(ProducerIds {
                next: identity.next_producer_id,
                identity,
            }),
            config,
            _lock: lock,
        })
    }

    /// Allocates a producer id that is unique across restarts.
    pub fn new_producer_id(&self) -> Result<i64, StorageError> {
        let mut ids = self.producer_ids.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.next >= ids.identity.next_producer_id {
            let identity = Identity {
                next_producer_id: ids.next + PRODUCER_ID_BLOCK,
                ..ids.identity.clone()
            };
            store_identity(&self.config.data, &identity)?;
            ids.identity = identity;
        }
        ids.next += 1;
        Ok(ids.next - 1)
    }

    /// Syncs everything written so far to disk. Blocks.
    pub fn sync(&self) {
        let partitions = self.topics.all().into_iter().flat_map(|topic| topic.partitions());
        let files = partitions.filter_map(|partition| partition.take_dirty().ok().flatten());
        for file in files.chain(self.groups.take_dirty()) {
            if let Err(error) = file.sync_data() {
                error!(%error, "failed to sync records to disk");
            }
        }
    }

    /// Whether acknowledgements wait for an fsync.
    pub fn fsync_always(&self) -> bool {
        self.config.fsync == FsyncPolicy::Always
    }

    /// Deletes records and offsets that exceed their retention. Blocks.
    pub fn apply_retention(&self) {
        for topic in self.topics.all() {
            let retention = topic.settings().retention(&self.config.retention);
            for (index, partition) in topic.partitions().iter().enumerate() {
                match partition.log().apply_retention(&retention, SystemTime::now()) {
                    Ok(0) => {}
                    Ok(segments) => {
                        info!(
                            topic = topic.name,
                            partition = index,
                            segments,
                            "deleted expired segments"
                        );
                    }
                    Err(error) => {
                        error!(topic = topic.name, partition = index, %error, "failed to apply retention");
                    }
                }
            }
        }
        self.groups
            .expire(now_ms() - i64::try_from(OFFSETS_RETENTION.as_millis()).unwrap_or(i64::MAX));
    }
}

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn lock_data(data: &Path) -> Result<File, StartError> {
    let path = data.join("lock");
    let file = File::create(&path).map_err(StorageError::at("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StartError::Locked(data.to_owned())),
        Err(fs::TryLockError::Error(source)) => Err(StorageError::at("lock", &path)(source).into()),
    }
}

fn load_identity(data: &Path) -> Result<Identity, StorageError> {
    let path = data.join("broker.json");
    if let Some(content) = files::read_optional(&path)? {
        return serde_json::from_slice(&content).map_err(|e| StorageError::at("parse", &path)(e.into()));
    }
    let cluster_id = Uuid::new_v4();
    let identity = Identity {
        format: 1,
        cluster_id,
        next_producer_id: first_producer_id(cluster_id),
    };
    store_identity(data, &identity)?;
    Ok(identity)
}

/// The first producer id of a new data directory. It is random because producers may outlive the previous directory
/// and continue with ids from it.
fn first_producer_id(cluster_id: Uuid) -> i64 {
    let (_, random) = cluster_id.as_u64_pair();
    i64::try_from(random & ((1 << 62) - 1)).unwrap_or_default()
}

fn store_identity(data: &Path, identity: &Identity) -> Result<(), StorageError> {
    let path = data.join("broker.json");
    let content = serde_json::to_vec_pretty(identity).map_err(|e| StorageError::at("encode", &path)(e.into()))?;
    files::write_atomic(&path, &content)
}
