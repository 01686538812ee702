//! HTTP: one event loop for all connections.

use std::convert::Infallible;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::arguments::Arguments;
use crate::http::reply::Replies;
use crate::http::session::Session;
use crate::poll::Watched;

/// Most concurrent connections: Hermit needs 128 KiB for each.
const MOST: usize = 512;
/// Bytes per read.
const BUFFER: usize = 16 * 1024;

/// A client.
struct Connection {
    stream: TcpStream,
    session: Session,
    /// The beginning of an incomplete request, or requests whose replies do not fit into the queue yet.
    held: Vec<u8>,
}

/// Serves forever.
///
/// # Errors
/// The system's error, if the address cannot be bound.
pub fn serve(arguments: &Arguments) -> io::Result<Infallible> {
    let listener = TcpListener::bind(arguments.listen)?;
    listener.set_nonblocking(true)?;
    let replies = Replies::new(arguments.reply_bytes);
    println!("listening on {}", arguments.listen);
    let (mut connections, mut watched, mut buffer) = (Vec::new(), Watched::default(), vec![0; BUFFER]);
    loop {
        watched.clear();
        watched.add(&listener, false);
        for Connection { stream, session, .. } in &connections {
            watched.add(stream, session.queued() > 0);
        }
        watched.wait();
        let mut nth = 0;
        connections.retain_mut(|connection: &mut Connection| {
            nth += 1;
            !watched.is_ready(nth) || connection.turn(&mut buffer, &replies)
        });
        accept(&listener, &mut connections);
    }
}

/// Accepts pending connections.
fn accept(listener: &TcpListener, connections: &mut Vec<Connection>) {
    while connections.len() < MOST {
        let Ok((stream, _)) = listener.accept() else { return };
        if stream.set_nonblocking(true).is_ok() {
            connections.push(Connection {
                stream,
                session: Session::default(),
                held: Vec::new(),
            });
        }
    }
}

impl Connection {
    /// Reads, answers and writes as far as possible without blocking; `false`: the connection is to be closed.
    fn turn(&mut self, buffer: &mut [u8], replies: &Replies) -> bool {
        match self.try_turn(buffer, replies) {
            Ok(open) => open,
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }

    fn try_turn(&mut self, buffer: &mut [u8], replies: &Replies) -> io::Result<bool> {
        loop {
            while self.session.queued() > 0 {
                match self.stream.write(self.session.to_send(replies))? {
                    0 => return Ok(false),
                    bytes => self.session.sent(replies, bytes),
                }
            }
            if self.session.is_closing() {
                return Ok(false);
            }
            if self.feed() == 0 {
                match self.stream.read(buffer)? {
                    0 => return Ok(false),
                    bytes => self.held.extend_from_slice(&buffer[..bytes]),
                }
                self.feed();
            }
        }
    }

    /// Parses requests from the held bytes; returns how many bytes were consumed.
    fn feed(&mut self) -> usize {
        let used = self.session.feed(&self.held, false);
        self.held.drain(..used);
        used
    }
}
