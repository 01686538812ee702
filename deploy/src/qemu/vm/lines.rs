//! The channels between the runner and a hypervisor. QEMU connects its monitor and the console to sockets of the runner; with the others, standard output is
//! the console.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::net::unix::pipe::{self, Receiver};
use tokio::sync::watch;
use tokio::time::timeout;

use super::HANDSHAKE;
use crate::guest::Vmm;
use crate::qemu::args::VmSpec;
use crate::qemu::console::{self, Seen, Watch};
use crate::qemu::qmp::QmpEvent;
use crate::qemu::socket::Socket;

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
pub(super) struct Lines {
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
    /// Creates them and adds their names to the VM's specification.
    pub(super) fn lay(spec: &mut VmSpec) -> io::Result<Self> {
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
pub(super) fn resets(events: Receiver) -> watch::Receiver<Vec<QmpEvent>> {
    let (sender, told) = watch::channel(Vec::new());
    tokio::spawn(async move {
        let mut lines = BufReader::new(events).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if line.contains("\"rebooting\"") && sender.borrow().is_empty() {
                sender.send_modify(|told| {
                    told.push(QmpEvent {
                        name: "RESET".into(),
                        reason: Some("guest-reset".into()),
                    });
                });
            }
        }
    });
    told
}
