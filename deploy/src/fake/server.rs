//! The endpoint of a fake service.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use protocol::spec::{Probe, Transport, UdpProbe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::{DeployError, Service};

/// Length of the body where the probe accepts any, bytes: that of the `tcp` workload.
const BODY_BYTES: u64 = 1000;
/// How long a service that is to die lives after its first reply.
const LIFETIME: Duration = Duration::from_millis(300);
/// Largest UDP packet, bytes.
const LARGEST_PACKET: usize = 65_535;
/// Longest request that is read, bytes.
const REQUEST_BYTES: usize = 16 << 10;

/// How a fake service behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// Sends correct replies.
    Correct,
    /// Accepts connections or packets and never replies.
    Silent,
    /// Sends correct replies for a moment, then dies.
    Dying,
}

/// A listener with its connections, or a UDP socket. Dropping it closes them.
#[derive(Debug)]
pub(super) struct Server {
    transport: Transport,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens on a free loopback port and writes a line to the service's log.
    pub(super) async fn start(service: &Service, behaviour: Behaviour, logs: &Path) -> Result<Self, DeployError> {
        let (address, task) = listen(service.probe(), behaviour)
            .await
            .map_err(|source| DeployError::Io {
                what: format!("listening for fake service {}", service.name),
                source,
            })?;
        let log = logs.join(format!("{}.log", service.name));
        if let Err(source) = write_log(&log, &format!("fake service {} listens on {address}\n", service.name)) {
            task.abort();
            let what = format!("writing {}", log.display());
            return Err(DeployError::Io { what, source });
        }
        Ok(Self {
            transport: service.transport(),
            address,
            task,
        })
    }

    /// Its transport protocol.
    pub(super) const fn transport(&self) -> Transport {
        self.transport
    }

    /// The address it listens on.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it dies by itself. Cancel-safe; must not be called again afterwards.
    pub(super) async fn died(&mut self) {
        let _ = (&mut self.task).await;
    }

    /// Stops it and waits until it has ended.
    pub(super) async fn stop(&mut self) {
        self.task.abort();
        if !self.task.is_finished() {
            let _ = (&mut self.task).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn write_log(path: &Path, line: &str) -> std::io::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?
        .write_all(line.as_bytes())
}

/// Opens the endpoint that the probe expects, and serves it.
async fn listen(probe: &Probe, behaviour: Behaviour) -> std::io::Result<(SocketAddr, JoinHandle<()>)> {
    match probe {
        Probe::Dns(_) | Probe::Redis(_) | Probe::Output(_) | Probe::Command(_) => Err(std::io::Error::new(
            std::io::ErrorKind::Unsupported,
            "the fake platform answers the probes http, tcp and udp only",
        )),
        Probe::Http(_) | Probe::Connects(_) | Probe::Started(_) => {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let address = listener.local_addr()?;
            Ok((address, tokio::spawn(serve_http(listener, reply(probe), behaviour))))
        }
        Probe::Udp(probe) => {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let address = socket.local_addr()?;
            Ok((address, tokio::spawn(serve_udp(socket, probe.clone(), behaviour))))
        }
    }
}

/// The reply that the probe expects.
fn reply(probe: &Probe) -> Vec<u8> {
    let Probe::Http(probe) = probe else {
        return Vec::new();
    };
    let length = usize::try_from(probe.body_bytes.unwrap_or(BODY_BYTES))
        .unwrap_or(usize::MAX)
        .min(64 << 20);
    let head = format!(
        "HTTP/1.1 {} Fake\r\nServer: fake\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n",
        probe.status
    );
    let mut reply = head.into_bytes();
    reply.resize(reply.len() + length, b'A');
    reply
}

async fn serve_http(listener: TcpListener, reply: Vec<u8>, behaviour: Behaviour) {
    let reply: Arc<[u8]> = reply.into();
    let (replied, mut first_reply) = watch::channel(false);
    let mut connections = JoinSet::new();
    let death = async {
        if behaviour == Behaviour::Dying && first_reply.wait_for(|&replied| replied).await.is_ok() {
            tokio::time::sleep(LIFETIME).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::pin!(death);
    loop {
        tokio::select! {
            () = &mut death => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { connections.spawn(answer(stream, Arc::clone(&reply), behaviour, replied.clone())); }
                // Out of file descriptors: wait until some are closed.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
        }
    }
}

/// Answers requests without a body until the client closes the connection or asks for that.
async fn answer(mut stream: TcpStream, reply: Arc<[u8]>, behaviour: Behaviour, replied: watch::Sender<bool>) {
    let _ = stream.set_nodelay(true);
    let mut read = Vec::new();
    loop {
        while let Some(end) = head_end(&read) {
            if behaviour != Behaviour::Silent {
                if stream.write_all(&reply).await.is_err() {
                    return;
                }
                replied.send_replace(true);
            }
            let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
            if behaviour != Behaviour::Silent && (head.contains("connection: close") || head.contains("http/1.0\r\n")) {
                let _ = stream.shutdown().await;
                return;
            }
            read.drain(..end);
        }
        match stream.read_buf(&mut read).await {
            Ok(1..) if read.len() <= REQUEST_BYTES => {}
            _ => return,
        }
    }
}

fn head_end(read: &[u8]) -> Option<usize> {
    read.windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map(|at| at + 4)
}

/// Echoes every packet after the prefix that the probe's answer has, until it is due to die.
async fn serve_udp(socket: UdpSocket, probe: UdpProbe, behaviour: Behaviour) {
    let prefix = probe.answer.strip_suffix(&probe.packet).unwrap_or(&probe.answer);
    let mut buffer = vec![0; LARGEST_PACKET];
    let mut death = None;
    loop {
        let received = tokio::select! {
            () = until(death) => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        if let (Ok((length, client)), true) = (received, behaviour != Behaviour::Silent) {
            let answer = [prefix.as_bytes(), &buffer[..length]].concat();
            // The client retries.
            let _ = socket.send_to(&answer, client).await;
            if behaviour == Behaviour::Dying {
                death.get_or_insert_with(|| Instant::now() + LIFETIME);
            }
        }
    }
}

async fn until(death: Option<Instant>) {
    match death {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
