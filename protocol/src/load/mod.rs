//! Load specifications, and the messages between controller and loaders. A loader deploys nothing; it generates a part of a load.
//!
//! ```text
//! controller                      loader
//!   DESCRIBE  ------------------>   LOADER
//!   PREPARE   ------------------>   PREPARED | REFUSED | FAILED
//!   PING      ------------------>   PONG             (clock offset)
//!   START     ------------------>                    (a time on the loader's clock)
//!   RENEW     ------------------>                    (renews the lease)
//!             <------------------   PROGRESS ...     (twice per second)
//!             <------------------   CHUNK ...        (third topic, after the load)
//!             <------------------   FIRED            (or FAILED)
//! ```
//! During the load only PROGRESS is sent, so that transferring results does not disturb it.

pub mod command;
mod http;
mod machine;
mod prepare;
mod result;
mod runs;
mod spec;
pub mod template;
mod udp;

pub use command::{Better, CommandLoad, CountOf, CsvColumn, Extract, FigureSpec, OutputPart, Take, WorkingFile};
pub use http::{Body, Expectation, HttpRequest, HttpRequests, Method, RequestOrder, TlsSpec, TlsStats, Trust};
pub use machine::{GeneratorLimits, MachineFacts};
pub use prepare::{DescribedSpec, EchoSpec, JungMix, JungSpec, LettersSpec, PartSpec, Prepare, Start, TargetSpec};
pub use result::{Awake, Chunk, Fired, Little, Prepared, Progress, RequestLabel, Scheduling, Stream, Tally, Usage};
pub use runs::{RUN_COLUMNS, RUNS_FILE, RunsLoad};
pub use spec::{
    Arrivals, Bounds, HttperfLoad, JmeterLoad, Limit, LoadKind, LoadSpec, MaxLoad, NoLoad, RampLoad, RateLoad, Think,
    Timing, Transport, UdpLoad, UserRequests, UsersLoad, Wait,
};
pub use udp::{HostCounters, SearchLimit, SearchStats, SearchStep, ServiceCounters, StreamStats, UdpStats};
