//! Workload `udp`: a service that replies to every packet with N times the letter `A`.
//!
//! It is the service of Czipri's thesis (2016, chapter 4) with one addition: the reply contains the packet's number, so
//! that a client can match replies to packets. See [`packet`] for the format.
//!
//! - [`packet`] determines the reply to a packet, without I/O;
//! - `batch` receives and sends many packets per system call, or single packets where that is not supported (OSv);
//! - `socket_loop` serves one socket; [`counters`] counts packets and reports the counters.
//!
//! Several sockets on one port (`--sockets`, with `SO_REUSEPORT`) are served by one thread each; the kernel assigns all
//! packets from one client port to the same socket. A packet causes no allocation.

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
use counters::Counters;
use packet::{MAX_PACKET, NUMBER_BYTES, ReplyMode};
use socket_loop::SocketLoop;

/// Maximum number of letters in a reply: the largest UDP packet over IPv4 less the number.
pub const MAX_REPLY_BYTES: usize = MAX_PACKET - NUMBER_BYTES;

/// Command line options.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Address and port to listen on; port 0 picks a free port.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8081")]
    pub listen: SocketAddr,

    /// Number of letters A in a reply, which are followed by the packet's number (its first 8 bytes).
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = reply_bytes)]
    pub reply_bytes: usize,

    /// Echo packets instead.
    #[arg(long, conflicts_with = "reply_bytes")]
    pub echo: bool,

    /// Number of sockets on the port, served by one thread each; the kernel distributes clients over them.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub sockets: u16,

    /// Maximum number of packets per system call; 1 uses the calls for single packets.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub batch: u16,

    /// Size of each socket's receive buffer in bytes; defaults to net.core.rmem_default.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    pub receive_buffer: Option<u32>,
}

fn reply_bytes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n <= MAX_REPLY_BYTES => Ok(n),
        _ => Err(format!("expected an integer from 0 to {MAX_REPLY_BYTES}")),
    }
}

/// Runs the service until SIGTERM or SIGINT; prints `listening on ADDRESS` once it is ready.
pub fn run(options: &Options) -> Result<(), Failure> {
    let sockets = listen::udp(options.listen, usize::from(options.sockets), options.receive_buffer)
        .map_err(|error| Failure::Listen(options.listen, error))?;
    let shutdown = Shutdown::by_signal().map_err(|e| Failure::System("failed to install the signal handlers", e))?;
    print_address(&sockets);
    serve(&sockets, options, &shutdown)
}

/// Serves open sockets, one thread each, until `shutdown`.
pub fn serve(sockets: &[UdpSocket], options: &Options, shutdown: &Shutdown) -> Result<(), Failure> {
    let mode = if options.echo {
        ReplyMode::Echo
    } else {
        ReplyMode::Letters(vec![b'A'; options.reply_bytes])
    };
    let counters = Counters::new(sockets);
    let batch = usize::from(options.batch);
    let serve_one = |index: usize| SocketLoop::new(index, &counters, &mode, batch, shutdown).run();
    std::thread::scope(|scope| {
        // The first socket is served on the current thread.
        let others: Vec<_> = (1..sockets.len())
            .map(|index| scope.spawn(move || serve_one(index)))
            .collect();
        let first = serve_one(0);
        others
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(std::io::Error::other("a thread panicked")))
            })
            .fold(first, std::io::Result::and)
    })
    .map_err(|e| Failure::System("socket loop failed", e))
}

fn print_address(sockets: &[UdpSocket]) {
    if let Some(Ok(address)) = sockets.first().map(UdpSocket::local_addr) {
        let mut out = std::io::stdout().lock();
        // A closed stdout does not stop the service.
        let _ = writeln!(out, "listening on {address}").and_then(|()| out.flush());
    }
}
