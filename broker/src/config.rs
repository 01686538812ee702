//! What a broker is told when it starts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// One address to listen on, and what clients that come in there are told to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The local address; port 0 asks for a free port.
    pub bind: SocketAddr,
    /// `host:port` written into answers to clients of this listener, `None` for the bound address.
    pub advertise: Option<String>,
}

/// When appended records are forced to the disk.
///
/// A broker that dies (`kill -9`) loses nothing under any policy: the kernel holds the pages. The policy
/// decides what a power cut or a kernel crash may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FsyncPolicy {
    /// The kernel decides (what Apache Kafka does by default).
    Never,
    /// Everything written is forced once per interval.
    Interval(Duration),
    /// Before a produce request or an offset commit is acknowledged.
    Always,
}

/// How much of a partition is kept; whole segments go, oldest first, never the newest record's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Bytes of log kept per partition, `None` for no limit.
    pub bytes: Option<u64>,
    /// Age of the newest record of a segment at which the segment goes, `None` for no limit.
    pub age: Option<Duration>,
}

/// Upper bounds on what clients can make the broker hold in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimit {
    /// Connections served at once; one more is closed at once.
    pub connections: usize,
    /// Bytes of request frames held at once over all connections; a reader waits for its share.
    pub request_bytes: usize,
    /// Bytes of records in one fetch answer, however much the client asks for.
    pub fetch_bytes: usize,
    /// Bytes of records in fetch answers held at once over all connections.
    pub fetch_bytes_total: usize,
    /// Partitions over all topics; creation beyond is refused.
    pub partitions: usize,
    /// Consumer groups.
    pub groups: usize,
    /// Members of one consumer group.
    pub group_members: usize,
    /// Idempotent producers remembered per partition; the least recently seen is forgotten first.
    pub producers: usize,
}

/// Everything a [`Broker`](crate::Broker) needs to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where to listen; at least one.
    pub listeners: Vec<Listener>,
    /// Folder for topics, offsets and groups; created if missing, locked while the broker runs.
    pub data: PathBuf,
    /// When written records reach the disk.
    pub fsync: FsyncPolicy,
    /// Defaults for topics that set no `retention.bytes` or `retention.ms`.
    pub retention: Retention,
    /// Bounds on memory.
    pub memory_limit: MemoryLimit,
    /// Largest request frame in bytes; a longer one closes its connection.
    pub max_frame: usize,
    /// Largest record batch in bytes (Kafka's `message.max.bytes`).
    pub max_batch: usize,
    /// Size in bytes at which a log starts a new segment file.
    pub segment_bytes: u64,
    /// Partitions of a topic that is created without saying how many.
    pub default_partitions: i32,
    /// Whether a Metadata request creates the topics it names.
    pub auto_create: bool,
    /// Shortest session time-out that a group member may ask for.
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
