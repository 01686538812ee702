//! The conversation with a runner about one attempt, and the clocks of its two ends.
//!
//! * [`state`] — what has been said and what is to be said next, pure;
//! * [`link`] — questions and answers that stand outside an attempt: DESCRIBE and PING;
//! * [`switch`] — one connection, told apart by host;
//! * [`clock`] — where an instant here lies on the runner's clock, and how surely.

pub mod clock;
pub mod link;
pub mod state;
pub mod switch;
