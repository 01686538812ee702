//! The channels between the runner and a hypervisor. QEMU connects its monitor and the console to sockets of the runner; with the others, standard output is
//! the console.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener as StdUnixListener};
use std::path::PathBuf;

use protocol::ids::AttemptId;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::net::unix::pipe::{self, Receiver};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::timeout;

use super::CONNECT_TIMEOUT;
use crate::guest::Vmm;
use crate::hypervisor::console::{self, ConsoleState, Patterns};
use crate::hypervisor::qmp::QmpEvent;
use crate::hypervisor::spec::VmSpec;

/// The source of a guest's serial console.
#[derive(Debug)]
pub(super) enum Console {
    /// A socket to which QEMU connects.
    Socket(Socket),
    /// The hypervisor's standard output.
    Output(Receiver),
}

/// The channels of one guest.
#[derive(Debug)]
pub(super) struct Channels {
    /// The socket that QEMU's monitor connects to.
    pub(super) monitor: Option<Socket>,
    /// The console.
    pub(super) console: Console,
    /// The write end of the console, if it is the process's standard output.
    pub(super) output: Option<OwnedFd>,
    /// Cloud Hypervisor's events, and the file that it inherits to write them to.
    pub(super) events: Option<(Receiver, OwnedFd)>,
}

impl Console {
    /// Copies the console to the guest's log.
    pub(super) async fn follow(self, pid: u32, patterns: Patterns, state: watch::Sender<ConsoleState>, log: PathBuf) {
        let from: Box<dyn AsyncRead + Send + Unpin> = match self {
            Self::Output(pipe) => Box::new(pipe),
            Self::Socket(socket) => match timeout(CONNECT_TIMEOUT, socket.accept(pid)).await {
                Ok(Ok(stream)) => Box::new(stream),
                _ => return,
            },
        };
        match OpenOptions::new().append(true).create(true).open(log) {
            Ok(log) => console::read(from, patterns, state, log).await,
            Err(_) => console::read(from, patterns, state, io::sink()).await,
        }
    }
}

impl Channels {
    /// Creates them and adds their names to the VM's specification.
    pub(super) fn open(spec: &mut VmSpec) -> io::Result<Self> {
        if spec.vmm != Vmm::Qemu {
            let (output, console) = pipe::pipe()?;
            let events = (spec.vmm == Vmm::CloudHypervisor).then(pipe::pipe).transpose()?;
            let events = events.map(|(far, near)| Ok::<_, io::Error>((near, far.into_blocking_fd()?)));
            let events = events.transpose()?;
            spec.events = events.as_ref().map(|(_, far)| far.as_raw_fd());
            return Ok(Self {
                monitor: None,
                console: Console::Output(console),
                output: Some(output.into_blocking_fd()?),
                events,
            });
        }
        let (monitor, console) = (Socket::new("monitor")?, Socket::new("console")?);
        spec.monitor = monitor.name().to_owned();
        spec.console = console.name().to_owned();
        Ok(Self {
            monitor: Some(monitor),
            console: Console::Socket(console),
            output: None,
            events: None,
        })
    }
}

/// Cloud Hypervisor reboots a guest that resets itself, and reports an event, which is translated to QEMU's form.
pub(super) fn watch_resets(events: Receiver) -> watch::Receiver<Vec<QmpEvent>> {
    let (sender, reported) = watch::channel(Vec::new());
    tokio::spawn(async move {
        let mut lines = BufReader::new(events).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if line.contains("\"rebooting\"") && sender.borrow().is_empty() {
                sender.send_modify(|events| {
                    events.push(QmpEvent {
                        name: "RESET".into(),
                        reason: Some("guest-reset".into()),
                    });
                });
            }
        }
    });
    reported
}

/// A socket that waits for the connection of a process.
///
/// It is abstract, so it leaves nothing in the file system. Any process on the host could connect to it, so the peer is checked.
#[derive(Debug)]
pub(super) struct Socket {
    name: String,
    listener: UnixListener,
}

impl Socket {
    /// A socket with a unique name.
    pub(super) fn new(purpose: &str) -> io::Result<Self> {
        let name = format!("jung-{}-{purpose}", AttemptId::fresh());
        let listener = StdUnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            name,
            listener: UnixListener::from_std(listener)?,
        })
    }

    /// Its name, without the leading NUL of an abstract name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Accepts the connection of the process `pid`, and closes all others.
    pub(super) async fn accept(&self, pid: u32) -> io::Result<UnixStream> {
        let pid = i32::try_from(pid).ok();
        loop {
            let (stream, _) = self.listener.accept().await?;
            if pid.is_some() && stream.peer_cred()?.pid() == pid {
                return Ok(stream);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn another_process_is_rejected() {
        let socket = Socket::new("test").unwrap();
        let address = SocketAddr::from_abstract_name(socket.name()).unwrap();
        let _ours = std::os::unix::net::UnixStream::connect_addr(&address).unwrap();
        socket.accept(std::process::id()).await.unwrap();
        let _ours = std::os::unix::net::UnixStream::connect_addr(&address).unwrap();
        let patience = std::time::Duration::from_millis(50);
        let accepted = tokio::time::timeout(patience, socket.accept(1)).await;
        assert!(accepted.is_err(), "only PID 1 was accepted");
    }
}
