//! What runners and loaders have in common: the [`lease`], which decides whose commands are obeyed, and the [`outbox`] of their events.

pub mod lease;
pub mod outbox;
