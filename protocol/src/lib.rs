//! The messages between the controller, runners and loaders, and the Kafka bus that carries them.
//!
//! * [`ids`] — names, attempts, epochs: validated once, safe in file names and container names afterwards.
//! * [`envelope`] — the signed and versioned JSON envelope of every message.
//! * [`command`] — messages of a controller; [`event`] — messages of a runner or loader.
//! * [`description`] — the reader of descriptions of services.
//! * [`spec`] — the content of RUN; [`sample`], [`summary`] and [`facts`] — the content of events.
//! * [`load`] — load specifications, and the messages between controller and loaders.
//! * [`counter`] — the fixed set of figures that a sample can contain.
//! * [`engine`] — container engine sockets and runtimes.
//! * [`size`] — disk usage of a service.
//! * [`sign`] — HMAC-SHA256 over an envelope.
//! * [`daemon`] — what runners and loaders have in common.
//! * [`files`] — checks of files that a configuration refers to.
//! * [`toml`] — the reader of every configuration file.
//! * [`refusals`] — rate-limited logging of refused messages.
//! * [`bus`] — typed senders and receivers over Kafka. Topic names, keys, JSON and signatures are internal to it.
//!
//! ```text
//! controller                      runner
//!   DESCRIBE  ------------------>   FACTS
//!   PING      ------------------>   PONG
//!   RUN       ------------------>   ACCEPTED | REFUSED
//!             <------------------   READY            (or FAILED)
//!   RENEW     ------------------>                    (renews the lease)
//!             <------------------   SAMPLES ...      (third topic)
//!   STOP      ------------------>
//!             <------------------   SUMMARY          (or FAILED)
//! ```

pub mod bus;
pub mod command;
pub mod counter;
pub mod daemon;
pub mod description;
pub mod engine;
pub mod envelope;
pub mod event;
pub mod facts;
pub mod files;
pub mod ids;
pub mod load;
pub mod refusals;
pub mod sample;
pub mod sign;
pub mod size;
pub mod spec;
pub mod summary;
pub mod toml;

pub use command::Command;
pub use envelope::Envelope;
pub use event::Event;
pub use ids::{AttemptId, Epoch, MessageId, Name};
