//! A small single-node Kafka broker for one machine and for tests.
//!
//! It implements the Kafka protocol over TCP with the wire types of `kafka-protocol` and stores topics in append-only
//! files. rdkafka, kcat and Apache Kafka's own tools work with it. It has no replication, transactions, TLS or
//! authentication; use Apache Kafka for a lab with several machines.
//!
//! | module | content |
//! |---|---|
//! | `server` | startup, accepting connections, periodic maintenance, shutdown |
//! | `connection` | one client connection: read a frame, handle it, write the response |
//! | `wire` | frames, validation against the schema, decoding, the table of supported APIs |
//! | `api` | the request handlers, one file per family of APIs |
//! | `node` | the state shared by all connections |
//! | `topics` | topics, partitions and their settings |
//! | `log` | the log of a partition: segments, recovery, idempotent producers, retention |
//! | `group` | consumer groups: coordinator, state machine, journal |
//! | `config`, `error`, `files` | configuration, errors, atomic replacement of small files |
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

/// Whether a request frame (without its length) is valid. For fuzzing and tests.
///
/// Never panics and uses memory in proportion to the frame.
pub fn accepts_frame(frame: &[u8]) -> bool {
    wire::decode(bytes::Bytes::copy_from_slice(frame)).is_ok()
}
