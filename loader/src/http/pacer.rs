//! What a load is made of, apart from its connections: when requests are due, and how they end.

use mio::Token;

use crate::call::Call;
use crate::error::ErrorKind;

/// A request that is due.
#[derive(Debug, Clone, Copy)]
pub struct Due<'a> {
    pub call: &'a Call,
    /// Its number in the whole load, from 0; closed loops leave numbers out.
    pub number: u64,
    /// Scheduled time, ns from the start of the run.
    pub at_ns: u64,
    pub warm_up: bool,
    /// Its user, in an engine with users; returned in [`Ended`].
    pub user: u32,
}

/// A request that has completed or failed, as reported to the pacer.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// Its user.
    pub user: u32,
    /// Its connection, if it can carry another request.
    pub idle: Option<Token>,
    /// The error, if it failed.
    pub error: Option<ErrorKind>,
    /// When it ended, ns of the run.
    pub at_ns: u64,
}

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
