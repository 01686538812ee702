//! A partition's log: append-only segment files of record batches, checked when loaded.
//!
//! ```text
//! topics/<topic>/<partition>/00000000000000000000.log    batches, in Kafka's own format (magic 2)
//!                            00000000000000001234.log    named by the offset of the first batch
//!                            start                       first offset still readable, after DeleteRecords
//! ```
//! The log is also the memory of idempotent producers: their state is read back from the batches.

mod batch;
mod producers;
mod records;
mod recovery;
mod retention;
mod search;
mod segment;
mod store;
#[cfg(test)]
mod tests;

pub use batch::{BatchError, BatchHeader, HEADER_BYTES};
pub use producers::{Producers, Verdict};
pub use segment::Segment;
pub use store::{AppendError, Appended, Log, LogSettings};
