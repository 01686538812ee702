//! The core of all HTTP engines: connections, one event loop per thread, and time-outs.
//!
//! ```text
//!            Pacer                                 HttpTransport
//!   when requests are due   -- send, connect -->   connections, time-outs, records
//!                           <-- ended --------
//! ```
//! A [`transport::HttpTransport`] sends requests and does not know when they are due. A [`Pacer`] decides only that: by a schedule (`rate`), or by its
//! users (`users`, `max`). Each thread has one of each; threads share nothing during the load except the cancellation flag. The request path does not
//! allocate: requests are encoded in advance, replies are checked in the read buffer, and tables are pre-sized (`tests/load_allocations.rs` checks this).
//! A request with placeholders is made while its thread waits for its time, if it waits. Only TLS, checks of JSON, and such requests on new connections
//! allocate.

mod connection;
mod event_loop;
#[cfg(test)]
pub mod fake;
mod pacer;
mod poll_wait;
mod stream;
mod threads;
mod transport;

pub use event_loop::window;
pub use pacer::{Due, Ended, Pacer, Transport};
pub use threads::{Setup, share};
