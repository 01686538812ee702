//! A server whose delay is known: it never sleeps, neither up to a request nor up to its reply. It also keeps when each request came.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use loader::monotonic_ns;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use super::servers::BODY;

const LISTENER: Token = Token(usize::MAX);

/// Asks the server for the arrival times of all requests so far, and has it forget them.
pub const ARRIVALS: &str = "GET /arrivals ";

/// Answers each request so many microseconds after it was read, for ever. A sleep, be it in a read or up to the reply, would be as late as the kernel likes.
pub fn serve(port: u16, micros: u64) -> anyhow::Result<()> {
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(64));
    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n{}", "A".repeat(BODY));
    let mut clients: Slab<TcpStream> = Slab::new();
    // One delay for all, so replies are due in the order of their requests.
    let mut due: VecDeque<(Instant, usize)> = VecDeque::new();
    let mut arrivals: Vec<u64> = Vec::with_capacity(1 << 20);
    loop {
        poll.poll(&mut events, Some(Duration::ZERO))?;
        for event in &events {
            if event.token() == LISTENER {
                accept(&listener, &poll, &mut clients)?;
                continue;
            }
            match read(&mut clients, event.token().0) {
                Some(Asked::Letters) => {
                    arrivals.push(monotonic_ns());
                    due.push_back((Instant::now() + Duration::from_micros(micros), event.token().0));
                }
                Some(Asked::Arrivals) => tell(&mut clients, event.token().0, &std::mem::take(&mut arrivals)),
                None => {}
            }
        }
        while let Some((_, client)) = due.pop_front_if(|(at, _)| Instant::now() >= *at) {
            if let Some(client) = clients.get_mut(client) {
                // A client that is gone shows at the next event.
                let _ = client.write_all(reply.as_bytes());
            }
        }
    }
}

fn accept(listener: &TcpListener, poll: &Poll, clients: &mut Slab<TcpStream>) -> anyhow::Result<()> {
    while let Ok((mut stream, _)) = listener.accept() {
        stream.set_nodelay(true)?;
        let place = clients.vacant_entry();
        poll.registry()
            .register(&mut stream, Token(place.key()), Interest::READABLE)?;
        place.insert(stream);
    }
    Ok(())
}

/// What a client wants.
enum Asked {
    Letters,
    Arrivals,
}

/// Sends arrival times, a line each, and ends the connection.
fn tell(clients: &mut Slab<TcpStream>, client: usize, arrivals: &[u64]) {
    let text: String = arrivals.iter().map(|ns| format!("{ns}\n")).collect();
    let mut left = text.as_bytes();
    while let (Some(stream), false) = (clients.get_mut(client), left.is_empty()) {
        match stream.write(left) {
            Ok(written) => left = &left[written..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    clients.try_remove(client);
}

/// Reads what is there: a request, or nothing. A client that is gone is forgotten.
fn read(clients: &mut Slab<TcpStream>, client: usize) -> Option<Asked> {
    let mut buffer = [0; 4096];
    match clients.get_mut(client).map(|stream| stream.read(&mut buffer)) {
        Some(Ok(length @ 1..)) if buffer[..length].starts_with(ARRIVALS.as_bytes()) => Some(Asked::Arrivals),
        Some(Ok(1..)) => Some(Asked::Letters),
        Some(Err(error)) if error.kind() == std::io::ErrorKind::WouldBlock => None,
        Some(_) => {
            clients.remove(client);
            None
        }
        None => None,
    }
}
