//! What runners and loaders have in common: the [`lease`], which decides whose commands are obeyed, and the Kafka [`connection`].

pub mod connection;
pub mod lease;
