//! What a loader is told and what it brings back: a runner of the role *loader* deploys nothing and fires a part of a load.
//!
//! ```text
//! controller                      loader
//!   DESCRIBE  ------------------>   LOADER
//!   PREPARE   ------------------>   PREPARED | REFUSED | FAILED
//!   PING      ------------------>   PONG             (the offset of its clock)
//!   START     ------------------>                    (an instant of its own clock)
//!   RENEW     ------------------>                    (holds the lease)
//!             <------------------   PROGRESS ...     (twice a second: it lives)
//!             <------------------   CHUNK ...        (third topic, once the load is over)
//!             <------------------   FIRED            (or FAILED)
//! ```
//! Nothing is sent while requests are under way but PROGRESS, so that the load is not disturbed by what it brings back.

mod facts;
mod limits;
mod ns;
mod plan;
mod result;
mod spec;
mod udp;

pub use facts::MachineFacts;
pub use limits::GeneratorLimits;
pub use plan::{EchoSpec, JungMix, JungSpec, LettersSpec, PartSpec, Prepare, Start, TargetSpec};
pub use result::{Chunk, Fired, Little, Prepared, Progress, RequestLabel, Scheduling, Stream, Tally, Usage};
pub use spec::{
    Arrivals, Bounds, HttperfLoad, JmeterLoad, Limit, LoadKind, LoadSpec, MaxLoad, MixPart, NoLoad, RampLoad, RateLoad,
    Think, Timing, Transport, UdpLoad, UserRequests, UsersLoad, Wait,
};
pub use udp::{HostCounters, SearchFigures, SearchLimit, SearchStep, ServiceCounters, StreamFigures, UdpFigures};
