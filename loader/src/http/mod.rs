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
mod poll_wait;
mod stream;
mod threads;
mod transport;

use mio::Token;

pub use connection::Due;
pub use event_loop::window;
pub use threads::{Setup, share};
pub use transport::Ended;

use super::error::ErrorKind;

/// Sends requests: a [`transport::HttpTransport`], or a fake with a simulated clock in tests of pacers.
pub trait Transport<'a> {
    /// Time since the start of the run, ns.
    fn now_ns(&self) -> u64;

    /// Takes the connection that has been idle longest.
    fn take_idle(&mut self) -> Option<Token>;

    /// Marks a connection as idle.
    fn release(&mut self, token: Token);

    /// Whether another connection may be opened.
    fn has_room(&self) -> bool;

    /// Sends a request on an idle connection; `false`: the connection no longer exists.
    fn send(&mut self, token: Token, due: Due<'a>) -> bool;

    /// Opens a connection and sends a request on it.
    fn connect(&mut self, due: Due<'a>);

    /// Records a request that was due but never sent.
    fn never_sent(&mut self, due: Due<'a>, now_ns: u64, kind: ErrorKind);
}

/// Decides when requests are due, and is told when they end.
pub trait Pacer<'a> {
    /// Starts up to `max` requests that are due.
    fn start_due(&mut self, transport: &mut impl Transport<'a>, max: usize);

    /// A request has completed or failed.
    fn ended(&mut self, transport: &mut impl Transport<'a>, end: Ended);

    /// Connections may have become idle, or the limit may permit new ones.
    fn freed(&mut self, _transport: &mut impl Transport<'a>) {}

    /// Fails requests that have timed out before they were sent.
    fn expire(&mut self, _transport: &mut impl Transport<'a>, _now_ns: u64) {}

    /// The next request, if it is known before it is due.
    fn upcoming(&self) -> Option<Due<'a>> {
        None
    }

    /// When the next request is due, with a precision of microseconds.
    fn next_ns(&self) -> Option<u64>;

    /// When [`Pacer::expire`] must be called next, with a precision of milliseconds.
    fn next_expiry_ns(&self) -> Option<u64> {
        None
    }

    /// Whether all requests have been started.
    fn is_done(&self) -> bool;

    /// Cancels the load; requests that are not due yet are dropped.
    fn cancel(&mut self, transport: &mut impl Transport<'a>, now_ns: u64);
}
