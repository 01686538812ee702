//! Workload `tcp`: an HTTP service that answers every request with N times the letter `A`.
//!
//! It is the service of Czipri's thesis (2016, chapter 4), with the HTTP made right: keep-alive and
//! `Connection: close`, HTTP/1.0, pipelined requests, bodies, HEAD, and a named error for everything
//! else. `GET`, `HEAD` and `POST` on `/` (with any query) are served.
//!
//! - [`head`] and [`body`] read requests, [`reply`] holds every reply, built before the first one is
//!   needed; [`session`] joins them into the protocol without touching a socket.
//! - [`connection`] binds a session to a socket, [`event_loop`] runs the connections of one thread.
//!
//! Nothing is allocated on the way of an ordinary request: it is parsed where it was read, and the
//! reply is a slice of a table.

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

/// Largest reply body; the reply is held in memory once for each of its forms.
pub const MAX_REPLY_BYTES: usize = 64 * 1024 * 1024;

/// Options of the sub-command.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Address and port to listen on; port 0 takes a free one and prints it.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,

    /// How many times the letter A makes up the body of a reply.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = reply_bytes)]
    pub reply_bytes: usize,

    /// Event loops, one thread each; connections are spread over them by the kernel.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: u16,

    /// Most connections open at once in each thread; more wait in the accept queue.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,

    /// Seconds without a finished request after which a connection is closed.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub idle: u32,
}

fn reply_bytes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n <= MAX_REPLY_BYTES => Ok(n),
        _ => Err(format!("a whole number from 0 to {MAX_REPLY_BYTES} is needed")),
    }
}

/// Runs the service until SIGTERM or SIGINT; prints `listening on ADDRESS` once it is up.
pub fn run(options: &Options) -> Result<(), Failure> {
    limits::raise_open_files();
    let listeners = listen::tcp(options.listen, usize::from(options.threads))
        .map_err(|error| Failure::Listen(options.listen, error))?;
    let shutdown = Shutdown::by_signal().map_err(|e| Failure::System("cannot watch for signals", e))?;
    announce(&listeners);
    serve(listeners, options, &shutdown)
}

/// Serves on listeners that are open already until `shutdown`, one thread each; returns when all ended.
pub fn serve(listeners: Vec<TcpListener>, options: &Options, shutdown: &Shutdown) -> Result<(), Failure> {
    let replies = &Replies::new(options.reply_bytes);
    let idle = Duration::from_secs(options.idle.into());
    let most = usize::try_from(options.connections).unwrap_or(usize::MAX);
    let loops = listeners
        .into_iter()
        .map(|listener| EventLoop::new(listener, shutdown, replies, most, idle))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| Failure::System("cannot set up the event loop", e))?;
    run_all(loops).map_err(|e| Failure::System("the event loop failed", e))
}

/// Runs the first loop on this thread, so that a service of one thread starts none.
fn run_all(mut loops: Vec<EventLoop<'_>>) -> std::io::Result<()> {
    std::thread::scope(|scope| {
        let others: Vec<_> = loops.drain(1..).map(|mut l| scope.spawn(move || l.run())).collect();
        let first = loops.first_mut().map_or(Ok(()), EventLoop::run);
        others.into_iter().fold(first, |ended, other| {
            let other = other
                .join()
                .unwrap_or_else(|_| Err(std::io::Error::other("a thread panicked")));
            ended.and(other)
        })
    })
}

fn announce(listeners: &[TcpListener]) {
    if let Some(Ok(address)) = listeners.first().map(TcpListener::local_addr) {
        let mut out = std::io::stdout().lock();
        // Nobody may be reading; the service runs all the same.
        let _ = writeln!(out, "listening on {address}").and_then(|()| out.flush());
    }
}
