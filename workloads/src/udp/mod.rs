//! Workload `udp`: a service that answers every packet with N times the letter `A`.
//!
//! It is the service of Czipri's thesis (2016, chapter 4), with one thing added: the answer bears the packet's number, so that a client knows
//! which packet was answered. [`packet`] says where.
//!
//! - [`packet`] decides what a packet is answered with, without touching a socket;
//! - [`batch`] receives and sends many packets in one system call, or one where the system knows no better (OSv);
//! - [`socket_loop`] serves one socket, [`counters`] counts and tells what was counted.
//!
//! Several sockets on one port (`--sockets`, by `SO_REUSEPORT`) are served by a thread each; the kernel gives all packets of one client's
//! port to one of them. Nothing is allocated on the way of a packet.

mod batch;
pub mod counters;
pub mod packet;
mod socket_loop;

use std::io::Write;
use std::net::{SocketAddr, UdpSocket};

use clap::Args;

use crate::exit::Failure;
use crate::listen;
use crate::shutdown::Shutdown;
use counters::Shared;
use packet::{LARGEST, NUMBER_BYTES, Reply};
use socket_loop::SocketLoop;

/// Most letters of a reply: the largest packet of UDP over IPv4, less the number.
pub const MAX_REPLY_BYTES: usize = LARGEST - NUMBER_BYTES;

/// Options of the sub-command.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Address and port to listen on; port 0 takes a free one and prints it.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8081")]
    pub listen: SocketAddr,

    /// How many letters A a reply begins with; the packet's number (its first 8 bytes) follows them.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = reply_bytes)]
    pub reply_bytes: usize,

    /// Answer with the packet itself instead.
    #[arg(long, conflicts_with = "reply_bytes")]
    pub echo: bool,

    /// Sockets on the same port, served by a thread each; the kernel spreads clients over them.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub sockets: u16,

    /// Most packets taken in one system call; 1 uses the calls for single packets.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub batch: u16,

    /// Bytes of each socket's receive buffer; without it the system's own (net.core.rmem_default).
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    pub receive_buffer: Option<u32>,
}

fn reply_bytes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n <= MAX_REPLY_BYTES => Ok(n),
        _ => Err(format!("a whole number from 0 to {MAX_REPLY_BYTES} is needed")),
    }
}

/// Runs the service until SIGTERM or SIGINT; prints `listening on ADDRESS` once it is up.
pub fn run(options: &Options) -> Result<(), Failure> {
    let sockets = listen::udp(options.listen, usize::from(options.sockets), options.receive_buffer)
        .map_err(|error| Failure::Listen(options.listen, error))?;
    let shutdown = Shutdown::by_signal().map_err(|e| Failure::System("cannot watch for signals", e))?;
    announce(&sockets);
    serve(&sockets, options, &shutdown)
}

/// Serves sockets that are open already until `shutdown`, a thread each; returns when all ended.
pub fn serve(sockets: &[UdpSocket], options: &Options, shutdown: &Shutdown) -> Result<(), Failure> {
    let reply = if options.echo {
        Reply::Same
    } else {
        Reply::Letters(vec![b'A'; options.reply_bytes])
    };
    let shared = Shared::new(sockets);
    let batch = usize::from(options.batch);
    let one = |place: usize| SocketLoop::new(place, &shared, &reply, batch, shutdown).run();
    std::thread::scope(|scope| {
        // The first runs on this thread: a service with one socket has one thread.
        let others: Vec<_> = (1..sockets.len())
            .map(|place| scope.spawn(move || one(place)))
            .collect();
        let first = one(0);
        others
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(std::io::Error::other("a thread panicked")))
            })
            .fold(first, std::io::Result::and)
    })
    .map_err(|e| Failure::System("serving the socket failed", e))
}

/// Tells where the service listens.
fn announce(sockets: &[UdpSocket]) {
    if let Some(Ok(address)) = sockets.first().map(UdpSocket::local_addr) {
        let mut out = std::io::stdout().lock();
        // Nobody may be reading; the service runs all the same.
        let _ = writeln!(out, "listening on {address}").and_then(|()| out.flush());
    }
}
