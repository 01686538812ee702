//! Connections to runners and loaders.
//!
//! * [`link`] — requests outside an attempt: DESCRIBE and PING;
//! * [`demux`] — the events of one Kafka consumer, by host;
//! * [`clock`] — the estimated clock of a peer.

pub mod clock;
pub mod demux;
pub mod link;
