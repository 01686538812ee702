//! Consumer groups: members, assignments, generations and committed offsets.
//!
//! ```text
//!            join                 all have joined, or timeout
//!   Empty ---------> Preparing ---------------------------------> Completing
//!     ^               ^     ^                                          |
//!     | last member   |     | join, leave, session timeout             | leader's assignments
//!     | left          |     |                                          v
//!     +---------------+     +-------------------------------------- Stable
//! ```
//! [`Group`] is a pure state machine: time is an argument, responses go into channels, nothing is written.
//! [`Groups`] holds all groups under one lock, drives their timeouts, and writes what must survive a restart to
//! the [`Journal`](journal::Journal).

mod coordinator;
mod journal;
mod member;
mod snapshot;
mod state_machine;
#[cfg(test)]
mod tests;

pub use coordinator::Groups;
pub use journal::{CommittedOffset, TopicPartition};
pub use member::{JoinRequest, JoinResponse, JoinedMember, Member, MemberContext, SyncRequest, SyncResponse};
pub use state_machine::{Group, GroupLimits, State};
