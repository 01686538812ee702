//! What all engines of HTTP have in common: connections, an event loop a thread, and the care for what is late.
//!
//! ```text
//!            Pace                                   Wire
//!   what is due, and when   -- send, connect -->   connections, time-outs, records
//!                           <-- ended --------
//! ```
//! A [`wire::Wire`] carries requests and knows nothing of when they are due. A [`Pace`] decides that and nothing else: by a schedule
//! (`rate`), or by its users (`users`, `max`). Each thread has one of both; nothing is shared while the load runs but the flag that
//! cancels it. On the way of a request nothing is allocated: its bytes were made before, replies are checked where they were
//! read, and tables have their size beforehand (`tests/load_allocations.rs` counts).

mod carry;
mod connection;
mod gate;
mod late;
mod lead;
#[cfg(test)]
pub mod paused;
mod rest;
mod table;
mod threads;
mod turn;
mod wire;

use mio::Token;

pub use connection::Due;
pub use threads::{Setup, share, window};
pub use wire::Ended;

use super::error::ErrorKind;

/// Carries requests: a [`wire::Wire`], or in tests of a pace one that only pretends, under a clock that stands still.
pub trait Carrier<'a> {
    /// The time since the start of the run, ns.
    fn now_ns(&self) -> u64;

    /// The connection that was marked as idle longest; it is not any more.
    fn take_idle(&mut self) -> Option<Token>;

    /// Marks a connection as idle, for whoever asks next.
    fn release(&mut self, token: Token);

    /// Whether one more connection may be opened.
    fn has_room(&self) -> bool;

    /// Sends a request on an idle connection; false if it is gone.
    fn send(&mut self, token: Token, due: Due<'a>) -> bool;

    /// Opens a connection and sends a request on it.
    fn connect(&mut self, due: Due<'a>);

    /// Records a request that was due and was never sent.
    fn never_sent(&mut self, due: Due<'a>, now_ns: u64, kind: ErrorKind);
}

/// Decides what is due, and learns what became of it.
pub trait Pace<'a> {
    /// Starts requests whose time has come, a number of them at most.
    fn start_due(&mut self, wire: &mut impl Carrier<'a>, most: usize);

    /// A request ended.
    fn ended(&mut self, wire: &mut impl Carrier<'a>, end: Ended);

    /// Connections may have become free, or room for new ones.
    fn freed(&mut self, _wire: &mut impl Carrier<'a>) {}

    /// Gives up what is due but not under way and whose time-out is over.
    fn expire(&mut self, _wire: &mut impl Carrier<'a>, _now_ns: u64) {}

    /// When the next request is due that is not yet: the thread wakes for it to the microsecond.
    fn next_ns(&self) -> Option<u64>;

    /// When [`Pace::expire`] has something to do: the thread wakes for it to the millisecond.
    fn late_ns(&self) -> Option<u64> {
        None
    }

    /// Whether nothing is due any more; requests under way are the wire's business.
    fn is_over(&self) -> bool;

    /// Ends everything; what was not due yet never happened. What is under way follows.
    fn cancel(&mut self, wire: &mut impl Carrier<'a>, now_ns: u64);
}
