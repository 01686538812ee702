//! The lines between the runner and what runs a guest: QEMU connects to sockets of ours, of the others the standard output is the console.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use tokio::io::AsyncRead;
use tokio::net::unix::pipe::{self, Receiver};
use tokio::sync::watch;
use tokio::time::timeout;

use super::HANDSHAKE;
use crate::guest::Vmm;
use crate::qemu::args::VmSpec;
use crate::qemu::console::{self, Seen, Watch};
use crate::qemu::socket::Socket;

/// Where the bytes of a guest's serial console come from.
#[derive(Debug)]
pub(super) enum Console {
    /// A socket to which QEMU connects.
    Socket(Socket),
    /// What the hypervisor writes.
    Output(Receiver),
}

/// The lines of one guest.
#[derive(Debug)]
pub(super) struct Lines {
    /// Where QEMU's monitor is awaited.
    pub(super) monitor: Option<Socket>,
    /// The console's near end.
    pub(super) console: Console,
    /// Its far end, if the process gets it as its standard output.
    pub(super) output: Option<OwnedFd>,
}

impl Console {
    /// Reads it into the guest's log.
    pub(super) async fn follow(self, pid: u32, watch: Watch, seen: watch::Sender<Seen>, log: PathBuf) {
        let from: Box<dyn AsyncRead + Send + Unpin> = match self {
            Self::Output(pipe) => Box::new(pipe),
            Self::Socket(socket) => match timeout(HANDSHAKE, socket.accept(pid)).await {
                Ok(Ok(stream)) => Box::new(stream),
                _ => return,
            },
        };
        match OpenOptions::new().append(true).create(true).open(log) {
            Ok(log) => console::read(from, watch, seen, log).await,
            Err(_) => console::read(from, watch, seen, io::sink()).await,
        }
    }
}

impl Lines {
    /// Makes them, and tells their names to the guest's machine.
    pub(super) fn lay(spec: &mut VmSpec) -> io::Result<Self> {
        if spec.vmm != Vmm::Qemu {
            let (sender, receiver) = pipe::pipe()?;
            return Ok(Self {
                monitor: None,
                console: Console::Output(receiver),
                output: Some(sender.into_blocking_fd()?),
            });
        }
        let (monitor, console) = (Socket::new("monitor")?, Socket::new("console")?);
        spec.monitor = monitor.name().to_owned();
        spec.console = console.name().to_owned();
        Ok(Self {
            monitor: Some(monitor),
            console: Console::Socket(console),
            output: None,
        })
    }
}
