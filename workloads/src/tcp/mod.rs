//! Workload `tcp`: an HTTP service that replies to every request with N times the letter `A`.
//!
//! It is the service of Czipri's thesis (2016, chapter 4) with a correct HTTP implementation: keep-alive
//! and `Connection: close`, HTTP/1.0, pipelining, request bodies, HEAD, and error statuses. It serves
//! `GET`, `HEAD` and `POST` on `/` with any query.
//!
//! - [`head`] and [`body`] parse requests, [`reply`] is the table of prebuilt replies, and [`session`] is
//!   the protocol of a connection without I/O.
//! - `connection` combines a session with a socket; `event_loop` runs the connections of one thread.
//!
//! An ordinary request causes no allocation: it is parsed in the read buffer, and its reply is a slice
//! of the table.

pub mod body;
mod connection;
mod event_loop;
pub mod head;
pub mod reply;
pub mod session;

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use clap::Args;

use crate::exit::Failure;
use crate::shutdown::Shutdown;
use crate::{limits, listen};
use event_loop::EventLoop;
use reply::Replies;

/// Maximum size of a reply body in bytes; three variants of the reply are kept in memory.
pub const MAX_REPLY_BYTES: usize = 64 * 1024 * 1024;

/// Command line options.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Address and port to listen on; port 0 picks a free port.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,

    /// Size of the reply body in bytes.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = reply_bytes)]
    pub reply_bytes: usize,

    /// Number of threads, with one event loop each; the kernel distributes connections over them.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: u16,

    /// Maximum number of open connections per thread; more wait in the accept queue.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,

    /// Idle timeout of connections without a completed request, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub idle: u32,
}

fn reply_bytes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n <= MAX_REPLY_BYTES => Ok(n),
        _ => Err(format!("expected an integer from 0 to {MAX_REPLY_BYTES}")),
    }
}

/// Runs the service until SIGTERM or SIGINT; prints `listening on ADDRESS` once it is ready.
pub fn run(options: &Options) -> Result<(), Failure> {
    limits::raise_open_files();
    let listeners = listen::tcp(options.listen, usize::from(options.threads))
        .map_err(|error| Failure::Listen(options.listen, error))?;
    let shutdown = Shutdown::by_signal().map_err(|e| Failure::System("failed to install the signal handlers", e))?;
    print_address(&listeners);
    serve(listeners, options, &shutdown)
}

/// Serves on open listeners, one thread each, until `shutdown`.
pub fn serve(listeners: Vec<TcpListener>, options: &Options, shutdown: &Shutdown) -> Result<(), Failure> {
    let replies = &Replies::new(options.reply_bytes);
    let idle = Duration::from_secs(options.idle.into());
    let max_connections = usize::try_from(options.connections).unwrap_or(usize::MAX);
    let loops = listeners
        .into_iter()
        .map(|listener| EventLoop::new(listener, shutdown, replies, max_connections, idle))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| Failure::System("failed to set up the event loop", e))?;
    run_all(loops).map_err(|e| Failure::System("event loop failed", e))
}

/// Runs the loops, the first on the current thread.
fn run_all(mut loops: Vec<EventLoop<'_>>) -> std::io::Result<()> {
    std::thread::scope(|scope| {
        let others: Vec<_> = loops.drain(1..).map(|mut l| scope.spawn(move || l.run())).collect();
        let first = loops.first_mut().map_or(Ok(()), EventLoop::run);
        others.into_iter().fold(first, |result, other| {
            let other = other
                .join()
                .unwrap_or_else(|_| Err(std::io::Error::other("a thread panicked")));
            result.and(other)
        })
    })
}

fn print_address(listeners: &[TcpListener]) {
    if let Some(Ok(address)) = listeners.first().map(TcpListener::local_addr) {
        let mut out = std::io::stdout().lock();
        // A closed stdout does not stop the service.
        let _ = writeln!(out, "listening on {address}").and_then(|()| out.flush());
    }
}
