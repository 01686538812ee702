//! HTTP: one loop for all connections.

use std::convert::Infallible;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::arguments::Arguments;
use crate::http::reply::Replies;
use crate::http::session::Session;
use crate::poll::Watched;

/// Most connections at once: Hermit keeps 128 KiB for each.
const MOST: usize = 512;
/// Bytes of one read.
const BUFFER: usize = 16 * 1024;

/// A client.
struct Connection {
    stream: TcpStream,
    session: Session,
    /// The start of a request whose rest has not come, or requests for whose replies there is no room yet.
    held: Vec<u8>,
}

/// Serves for ever.
///
/// # Errors
/// The system's, where the address cannot be had.
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

/// Takes the connections that wait.
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
    /// Reads, answers and writes as far as it goes without waiting; false if the connection is to be closed.
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
            if self.session.is_over() {
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

    /// Takes requests out of what is held; returns how many bytes were used.
    fn feed(&mut self) -> usize {
        let used = self.session.feed(&self.held, false);
        self.held.drain(..used);
        used
    }
}
