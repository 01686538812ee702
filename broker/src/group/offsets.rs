//! Committed offsets.

use serde::{Deserialize, Serialize};

/// Names a partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
}

/// How far a group has read a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Committed {
    /// Offset of the next record to read.
    pub offset: i64,
    /// Leader epoch the client knew, -1 for none.
    pub epoch: i32,
    /// A note of the client.
    pub metadata: String,
    /// When it was committed, in ms since 1970.
    pub at_ms: i64,
}
