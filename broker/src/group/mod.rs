//! Consumer groups: who is a member, who leads, who reads what, what was committed.
//!
//! ```text
//!            join                 all have joined, or time is up
//!   Empty ---------> Preparing ---------------------------------> Completing
//!     ^               ^     ^                                          |
//!     | last member   |     | join, leave, session over                | leader's assignments
//!     +---------------+     +------------------- Stable <--------------+
//! ```
//! [`Group`] is pure: time is an argument, answers go into channels, nothing is written. [`Groups`] holds all
//! groups under one lock, lets time pass, and writes what must survive to the [`Journal`].

mod coordinator;
mod join;
mod journal;
mod machine;
mod member;
mod offsets;
mod snapshot;
mod sync;
#[cfg(test)]
mod tests;

pub use coordinator::{Committer, Groups};
pub use join::{JoinAnswer, JoinMember, JoinRequest};
pub use journal::{Entry, GroupEntry, Journal, MemberEntry, OffsetEntry, RemovedEntry};
pub use machine::{Group, GroupLimits, State};
pub use member::Member;
pub use offsets::{Committed, TopicPartition};
pub use sync::{SyncAnswer, SyncRequest};
