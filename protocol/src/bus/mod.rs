//! Typed senders and receivers over Kafka.
//!
//! | topic | producers | key | messages |
//! |---|---|---|---|
//! | `<prefix>controller` | controllers | host | commands; those of one host stay in order, so STOP never overtakes its RUN |
//! | `<prefix>runner` | runners, loaders | host | all events except SAMPLES and CHUNK |
//! | `<prefix>samples` | runners, loaders | host | SAMPLES, CHUNK |
//!
//! Receivers assign themselves every partition, starting at its end at the time they connect, and commit offsets explicitly. They do not use
//! consumer group rebalancing, since a runner that restarts after a crash would have to wait for the session of its previous instance to time
//! out. Lost messages are requested again by the sender of a command; duplicates are recognized by the attempt id.

mod client;
mod config;
mod controller;
mod runner;
mod subscriber;
mod topics;
mod traffic;

pub use config::{BusConfig, BusError, CONNECT_DEADLINE, DELIVERY_DEADLINE};
pub use controller::{CommandSender, EventReceiver, connect_controller};
pub use runner::{CommandReceiver, EventSender, Reply, connect_runner};
pub use traffic::{Cause, Traffic};
