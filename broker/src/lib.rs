//! A small single-node Kafka broker of our own, for one machine and for tests.
//!
//! It speaks the Kafka protocol over TCP (on the wire types of `kafka-protocol`), keeps its topics in append-only
//! files, and lets rdkafka, kcat and Apache Kafka's own tools work as they do with Apache Kafka. It has no
//! replication, no transactions, no TLS and no authentication: a lab of several machines uses Apache Kafka.
//!
//! ```text
//! server -> connection -> wire (frame, shape, decode) -> api -> topics -> log
//!                                                            -> group -> journal
//! ```
//!
//! ```no_run
//! # async fn example() -> Result<(), broker::StartError> {
//! let local = broker::Listener { bind: ([127, 0, 0, 1], 0).into(), advertise: None };
//! let config = broker::Config { listeners: vec![local], data: "data".into(), ..Default::default() };
//! let broker = broker::Broker::start(config).await?;
//! println!("bootstrap: {:?}", broker.addresses());
//! broker.stop().await;
//! # Ok(())
//! # }
//! ```

mod api;
mod config;
mod connection;
mod error;
mod files;
mod group;
mod log;
mod node;
mod server;
mod topics;
mod wire;

pub use config::{Config, FsyncPolicy, Listener, MemoryLimit, Retention};
pub use error::{StartError, StorageError};
pub use server::Broker;

/// Decodes one request frame (without its length) and says whether it would be taken: for fuzzing and tests.
/// Never panics, and takes memory in proportion to the frame.
pub fn accepts_frame(frame: &[u8]) -> bool {
    wire::decode(bytes::Bytes::copy_from_slice(frame)).is_ok()
}
