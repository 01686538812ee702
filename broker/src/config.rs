//! Broker configuration.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::StartError;

/// One address to listen on, and the address advertised to clients that connect there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The local address; port 0 picks a free port.
    pub bind: SocketAddr,
    /// `host:port` in responses to clients of this listener; `None` advertises the bound address.
    pub advertise: Option<String>,
}

impl Listener {
    /// The address to advertise once the listener is bound to `bound`.
    ///
    /// # Errors
    /// The advertised address is not `host:port`.
    pub(crate) fn bound_to(&self, bound: SocketAddr) -> Result<BoundListener, StartError> {
        let Some(text) = self.advertise.as_deref() else {
            return Ok(BoundListener {
                bound,
                host: bound.ip().to_string(),
                port: bound.port(),
            });
        };
        let invalid = || StartError::Advertise(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = port.parse().map_err(|_| invalid())?;
        if host.is_empty() {
            Err(invalid())
        } else {
            Ok(BoundListener { bound, host, port })
        }
    }
}

/// A bound listener and the address it advertises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BoundListener {
    /// The bound address.
    pub bound: SocketAddr,
    /// Advertised host; IPv6 addresses without brackets.
    pub host: String,
    /// Advertised port.
    pub port: u16,
}

/// When appended records are fsynced.
///
/// A killed broker (`kill -9`) loses nothing under any policy because the pages are in the kernel. The policy decides
/// what a power failure or a kernel crash can lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FsyncPolicy {
    /// Leave it to the kernel (Apache Kafka's default).
    Never,
    /// Sync everything written once per interval.
    Interval(Duration),
    /// Before a produce request or an offset commit is acknowledged.
    Always,
}

/// How much of a partition is kept. Whole segments are deleted, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Bytes kept per partition; `None` for no limit.
    pub bytes: Option<u64>,
    /// Age of a segment's newest record at which the segment is deleted; `None` for no limit.
    pub age: Option<Duration>,
}

/// Upper bounds on the memory that clients can make the broker use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimit {
    /// Concurrent connections; further ones are closed immediately.
    pub connections: usize,
    /// Bytes of request frames in memory over all connections; readers wait for their share.
    pub request_bytes: usize,
    /// Bytes of records in one fetch response, whatever the client asks for.
    pub fetch_bytes: usize,
    /// Bytes of records in fetch responses in memory over all connections.
    pub fetch_bytes_total: usize,
    /// Partitions over all topics; creating more is refused.
    pub partitions: usize,
    /// Consumer groups.
    pub groups: usize,
    /// Members of one consumer group.
    pub group_members: usize,
    /// Idempotent producers tracked per partition; the least recently seen is evicted first.
    pub producers: usize,
}

/// Everything a [`Broker`](crate::Broker) needs to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Listeners; at least one.
    pub listeners: Vec<Listener>,
    /// Data directory for topics, offsets and groups; created if missing, locked while the broker runs.
    pub data: PathBuf,
    /// When written records are fsynced.
    pub fsync: FsyncPolicy,
    /// Defaults for topics that set no `retention.bytes` or `retention.ms`.
    pub retention: Retention,
    /// How often retention is applied, unless its age is shorter.
    pub retention_interval: Duration,
    /// Bounds on memory.
    pub memory_limit: MemoryLimit,
    /// Maximum size of a request frame in bytes; a larger one closes its connection.
    pub max_frame: usize,
    /// Maximum size of a record batch in bytes (Kafka's `message.max.bytes`).
    pub max_batch: usize,
    /// Size in bytes at which a log rolls to a new segment file.
    pub segment_bytes: u64,
    /// Number of partitions of topics that are created without one.
    pub default_partitions: i32,
    /// Whether Metadata requests create the topics they name.
    pub auto_create: bool,
    /// Minimum session timeout of group members.
    pub session_timeout_min: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Retention {
            bytes: Some(1 << 30),
            age: Some(Duration::from_secs(7 * 24 * 3600)),
        }
    }
}

impl Default for MemoryLimit {
    fn default() -> Self {
        MemoryLimit {
            connections: 512,
            request_bytes: 64 << 20,
            fetch_bytes: 4 << 20,
            fetch_bytes_total: 64 << 20,
            partitions: 2000,
            groups: 1000,
            group_members: 500,
            producers: 1000,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listeners: Vec::new(),
            data: PathBuf::from("broker-data"),
            fsync: FsyncPolicy::Interval(Duration::from_secs(1)),
            retention: Retention::default(),
            retention_interval: Duration::from_secs(30),
            memory_limit: MemoryLimit::default(),
            max_frame: 16 << 20,
            max_batch: 1_048_588,
            segment_bytes: 64 << 20,
            default_partitions: 1,
            auto_create: true,
            session_timeout_min: Duration::from_secs(1),
        }
    }
}
