//! What passes between the controller and the runners, and the bus that carries it.
//!
//! * [`ids`] — names, hosts, attempts, epochs: checked once, safe in file names and container names afterwards.
//! * [`envelope`] — the signed, versioned JSON wrapping of every message.
//! * [`command`] — what a controller says; [`event`] — what a runner says.
//! * [`spec`] — what a RUN asks for; [`sample`], [`summary`] and [`facts`] — what comes back.
//! * [`engine`] — which container engine and which of its runtimes.
//! * [`size`] — how large a service is where it lies.
//! * [`load`] — what a loader is told and brings back.
//! * [`counter`] — the closed list of figures that a sample can hold.
//! * [`sign`] — HMAC-SHA256 over an envelope.
//! * [`daemon`] — what every daemon at the far end of the bus has.
//! * [`files`] — whether files that a configuration names can be read.
//! * [`toml`] — the reader of every configuration file.
//! * [`refusals`] — the log of refused messages: one line, then counts.
//! * [`bus`] — the typed ends over Kafka. Topic names, keys, JSON and signatures stay inside it.
//!
//! ```text
//! controller                      runner
//!   DESCRIBE  ------------------>   FACTS
//!   PING      ------------------>   PONG
//!   RUN       ------------------>   ACCEPTED | REFUSED
//!             <------------------   READY            (or FAILED)
//!   RENEW     ------------------>                    (holds the lease)
//!             <------------------   SAMPLES ...      (third topic)
//!   STOP      ------------------>
//!             <------------------   SUMMARY          (or FAILED)
//! ```

pub mod bus;
pub mod command;
pub mod counter;
pub mod daemon;
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
pub mod surroundings;
pub mod toml;

pub use command::Command;
pub use envelope::Envelope;
pub use event::Event;
pub use ids::{AttemptId, Epoch, MessageId, Name};
