//! Many loaders: one load split over several machines.
//!
//! ```text
//!   fleet (in the controller)                         daemon (`controller loader`, on each machine)
//!     PREPARE: the whole load, and which part  ───▶     makes threads and connections ready, and waits at the barrier
//!     PING ... PONG: the offset of each clock  ◀──▶
//!     START: one instant, on each one's clock  ───▶     fires
//!     merges counts, histograms, requests      ◀───     PROGRESS ..., CHUNK ..., FIRED
//! ```
//! * [`fleet`] — the controller's side: all loaders or none;
//! * [`daemon`] — the loader's side;
//! * [`wire`] — loads and outcomes as they go over the wire, and back.

pub mod daemon;
pub mod fleet;
pub mod wire;
