//! A partition's log: append-only segment files of record batches, verified on load.
//!
//! ```text
//! topics/<topic>/<partition>/00000000000000000000.log    batches, in Kafka's own format (magic 2)
//!                            00000000000000001234.log    named after the offset of its first batch
//!                            start                       log start offset after DeleteRecords
//! ```
//! The state of idempotent producers is not stored separately; it is rebuilt from the batches.

mod batch;
mod partition_log;
mod producers;
mod recovery;
mod segment;
#[cfg(test)]
mod tests;

pub use batch::BatchError;
pub use partition_log::{AppendError, Appended, LogSettings, PartitionLog};
