//! Connections to runners and loaders.
//!
//! * [`link`] — a connection, and requests outside an attempt: DESCRIBE and PING;
//! * `inbox` — the events of one Kafka consumer, by request and by host;
//! * [`clock`] — the estimated clock of a peer.

pub mod clock;
mod inbox;
pub mod link;
