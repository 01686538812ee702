//! A server that handles every request by the same script.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A correct reply of five letters `A`.
pub const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nAAAAA";

/// An action of the server after it has read a request.
#[derive(Clone, Debug)]
pub enum Action {
    Send(Vec<u8>),
    /// Sends byte by byte, with a pause before each.
    Drip(Vec<u8>, Duration),
    /// Sends repeatedly until the client closes the connection.
    Forever(Vec<u8>),
    Pause,
    Close,
    Reset,
    /// Keeps the connection open without sending anything.
    Hold,
}

pub struct Scripted {
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
    _clients: Vec<TcpStream>,
}

impl Scripted {
    /// A server that performs these actions for every request.
    pub fn start(script: Vec<Action>) -> Self {
        Self::serve(move |client, _| {
            for action in &script {
                perform(action, client)?;
            }
            Ok(())
        })
    }

    /// A server that replies with the path of the request.
    pub fn echo() -> Self {
        Self::serve(|client, request| {
            let path = request.split(|b| *b == b' ').nth(1).unwrap();
            let mut reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", path.len()).into_bytes();
            reply.extend_from_slice(path);
            client.write_all(&reply)
        })
    }

    /// A server that replies correctly, but stalls for the first `stall` of each `period`.
    pub fn stalling(period: Duration, stall: Duration) -> Self {
        let start = Instant::now();
        Self::serve(move |client, _| {
            let phase = start.elapsed().as_nanos() % period.as_nanos();
            let left = stall.as_nanos().saturating_sub(phase);
            std::thread::sleep(Duration::from_nanos(u64::try_from(left).unwrap()));
            client.write_all(GOOD)
        })
    }

    /// A server that replies correctly, one request at a time, with this service time.
    pub fn slow(service_time: Duration) -> Self {
        let lock = std::sync::Mutex::new(());
        Self::serve(move |client, _| {
            let guard = lock.lock().unwrap();
            std::thread::sleep(service_time);
            drop(guard);
            client.write_all(GOOD)
        })
    }

    /// A listener with a full accept queue.
    pub fn with_full_queue() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(1).unwrap();
        let listener: TcpListener = socket.into();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        std::thread::spawn(move || {
            while !flag.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
            }
            drop(listener);
        });
        let fill = || TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        let clients = std::iter::from_fn(fill).take(16).collect();
        Self {
            address,
            stop,
            _clients: clients,
        }
    }

    fn serve(answer: impl Fn(&mut TcpStream, &[u8]) -> std::io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (flag, answer) = (Arc::clone(&stop), Arc::new(answer));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if flag.load(Ordering::Relaxed) {
                    return;
                }
                let (answer, mut client) = (Arc::clone(&answer), client.unwrap());
                std::thread::spawn(move || {
                    while let Some(request) = read_request(&mut client) {
                        if answer(&mut client, &request).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self {
            address,
            stop,
            _clients: Vec::new(),
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_millis(100));
    }
}

/// Reads a request up to the empty line; `None`: the client has closed the connection.
fn read_request(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match client.read(&mut buffer) {
            Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    }
    Some(request)
}

fn perform(action: &Action, client: &mut TcpStream) -> std::io::Result<()> {
    match action {
        Action::Send(bytes) => client.write_all(bytes),
        Action::Drip(bytes, pause) => bytes.iter().try_for_each(|byte| {
            std::thread::sleep(*pause);
            client.write_all(&[*byte])
        }),
        Action::Forever(bytes) => loop {
            client.write_all(bytes)?;
        },
        Action::Pause => {
            std::thread::sleep(Duration::from_millis(30));
            Ok(())
        }
        Action::Close => {
            client.shutdown(std::net::Shutdown::Both)?;
            Err(std::io::ErrorKind::ConnectionAborted.into())
        }
        Action::Reset => {
            socket2::SockRef::from(&*client).set_linger(Some(Duration::ZERO))?;
            Err(std::io::ErrorKind::ConnectionReset.into())
        }
        Action::Hold => {
            let _ = client.read(&mut [0; 1]);
            Err(std::io::ErrorKind::ConnectionAborted.into())
        }
    }
}
