//! UDP: one event loop, one socket.

use std::convert::Infallible;
use std::io;
use std::net::UdpSocket;

use crate::arguments::Arguments;
use crate::packet::{MAX_PACKET, Reply, ReplyMode};
use crate::poll::Watched;

/// Bytes of a request for the counters that are returned with them.
const ASK_BYTES: usize = 12;

/// Packet counters.
#[derive(Debug, Default)]
struct Counters {
    received: u64,
    answered: u64,
    unsent: u64,
}

/// Serves forever.
///
/// # Errors
/// The system's error, if the address cannot be bound.
pub fn serve(arguments: &Arguments) -> io::Result<Infallible> {
    let socket = UdpSocket::bind(arguments.listen)?;
    socket.set_nonblocking(true)?;
    let mode = ReplyMode::Letters(vec![b'A'; arguments.reply_bytes]);
    println!("listening on {}", arguments.listen);
    let (mut counters, mut watched, mut room) = (Counters::default(), Watched::default(), Watched::default());
    room.add(&socket, true);
    let (mut packet, mut answer) = (vec![0; MAX_PACKET], Vec::with_capacity(MAX_PACKET));
    loop {
        watched.clear();
        watched.add(&socket, false);
        watched.wait();
        while let Ok((bytes, from)) = socket.recv_from(&mut packet) {
            // Hermit 0.10 queues four packets each way. If the queue is full, `send_to` blocks even on a non-blocking socket, and only an incoming packet wakes
            // it, which never happens once four are queued there.
            while !room.wait_ready() {}
            let packet = &packet[..bytes];
            answer.clear();
            match mode.reply(packet) {
                Reply::Bytes(letters, kept) => {
                    answer.extend_from_slice(letters);
                    answer.extend_from_slice(&packet[..kept]);
                    counters.received += 1;
                    match socket.send_to(&answer, from) {
                        Ok(_) => counters.answered += 1,
                        Err(_) => counters.unsent += 1,
                    }
                }
                Reply::Counters => {
                    answer.extend_from_slice(&packet[..bytes.min(ASK_BYTES)]);
                    answer.extend_from_slice(counters.told().as_bytes());
                    // The client retries.
                    let _ = socket.send_to(&answer, from);
                }
            }
        }
    }
}

impl Counters {
    /// Lines of name and value (`workloads/src/udp/counters.rs`); Hermit does not report how many packets it dropped.
    fn told(&self) -> String {
        let Self {
            received,
            answered,
            unsent,
        } = self;
        format!("received {received}\nanswered {answered}\nunsent {unsent}\nsockets 1\n")
    }
}
