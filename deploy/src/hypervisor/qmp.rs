//! A client for QEMU's monitor protocol (QMP): one JSON object per line; a greeting, then one reply per command, with events in between.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long QEMU may take to reply: it replies from its main loop, which a busy host can starve for seconds.
const REPLY_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest line that is read, bytes.
const MAX_LINE: u64 = 1 << 20;
/// Number of events that are kept.
const MAX_EVENTS: usize = 1000;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum QmpError {
    /// The connection was closed: QEMU has ended.
    #[error("QEMU closed its monitor")]
    Closed,
    /// No reply in time.
    #[error("QEMU's monitor did not reply to {command} within {} s", REPLY_TIMEOUT.as_secs())]
    Timeout {
        /// The command.
        command: &'static str,
    },
    /// QEMU refused the command.
    #[error("QEMU refused {command}: {why}")]
    Refused {
        /// The command.
        command: &'static str,
        /// QEMU's error message.
        why: String,
    },
    /// The reply does not follow the protocol.
    #[error("QEMU's monitor sent an invalid reply to {command}: {line}")]
    Invalid {
        /// The command.
        command: &'static str,
        /// The beginning of the reply.
        line: String,
    },
}

/// An event of the guest or of its machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QmpEvent {
    /// QEMU's name for it, e.g. `SHUTDOWN`.
    pub name: String,
    /// The reason, if QEMU gives one, e.g. `guest-reset`.
    pub reason: Option<String>,
}

/// The acceleration as QEMU reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Kvm {
    /// KVM is in use.
    pub enabled: bool,
    /// This QEMU was built with KVM.
    pub present: bool,
}

/// A virtual CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Vcpu {
    /// Its index.
    #[serde(rename = "cpu-index")]
    pub index: u32,
    /// The host thread that executes it.
    #[serde(rename = "thread-id")]
    pub thread: u32,
}

/// A connection to a monitor.
#[derive(Debug)]
pub struct Qmp {
    writer: Box<dyn Writer>,
    replies: mpsc::Receiver<Value>,
    events: watch::Receiver<Vec<QmpEvent>>,
    task: JoinHandle<()>,
}

/// The write half of a monitor connection.
trait Writer: AsyncWrite + Send + Sync + Unpin + std::fmt::Debug {}
impl<T: AsyncWrite + Send + Sync + Unpin + std::fmt::Debug> Writer for T {}

impl Qmp {
    /// Reads the greeting and completes the capabilities negotiation.
    ///
    /// # Errors
    /// See [`QmpError`].
    pub async fn open(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Sync + Unpin + std::fmt::Debug + 'static,
    ) -> Result<Self, QmpError> {
        let (sender, replies) = mpsc::channel(4);
        let (event_sender, events) = watch::channel(Vec::new());
        let task = tokio::spawn(read(reader, sender, event_sender));
        let mut qmp = Self {
            writer: Box::new(writer),
            replies,
            events,
            task,
        };
        let greeting = qmp.reply("the greeting").await?;
        if greeting.get("QMP").is_none() {
            return Err(invalid_reply("the greeting", &greeting));
        }
        qmp.execute("qmp_capabilities").await?;
        Ok(qmp)
    }

    /// The events so far, and those to come.
    #[must_use]
    pub fn events(&self) -> watch::Receiver<Vec<QmpEvent>> {
        self.events.clone()
    }

    /// The state of the machine: `running`, `paused`, `shutdown`, `internal-error`, ...
    ///
    /// # Errors
    /// See [`QmpError`].
    pub async fn status(&mut self) -> Result<String, QmpError> {
        #[derive(Deserialize)]
        struct Status {
            status: String,
        }
        self.query::<Status>("query-status").await.map(|reply| reply.status)
    }

    /// Whether KVM is in use.
    ///
    /// # Errors
    /// See [`QmpError`].
    pub async fn kvm(&mut self) -> Result<Kvm, QmpError> {
        self.query("query-kvm").await
    }

    /// The host threads that execute the virtual CPUs.
    ///
    /// # Errors
    /// See [`QmpError`].
    pub async fn vcpus(&mut self) -> Result<Vec<Vcpu>, QmpError> {
        self.query("query-cpus-fast").await
    }

    /// Whether every virtual CPU is halted with interrupts disabled, from which it never wakes: how a kernel halts for good.
    ///
    /// # Errors
    /// See [`QmpError`].
    pub async fn halted(&mut self) -> Result<bool, QmpError> {
        let arguments = json!({"command-line": "info registers -a"});
        let registers = self.command("human-monitor-command", Some(arguments)).await?;
        Ok(registers.as_str().is_some_and(all_halted))
    }

    /// Presses the power button.
    ///
    /// # Errors
    /// See [`QmpError`].
    pub async fn powerdown(&mut self) -> Result<(), QmpError> {
        self.execute("system_powerdown").await.map(drop)
    }

    /// Makes QEMU exit.
    ///
    /// # Errors
    /// See [`QmpError`]. That QEMU exits before it replies is not an error.
    pub async fn quit(&mut self) -> Result<(), QmpError> {
        match self.execute("quit").await {
            Ok(_) | Err(QmpError::Closed) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn query<T: for<'a> Deserialize<'a>>(&mut self, command: &'static str) -> Result<T, QmpError> {
        let reply = self.execute(command).await?;
        T::deserialize(&reply).map_err(|_| invalid_reply(command, &reply))
    }

    async fn execute(&mut self, command: &'static str) -> Result<Value, QmpError> {
        self.command(command, None).await
    }

    async fn command(&mut self, command: &'static str, arguments: Option<Value>) -> Result<Value, QmpError> {
        let mut request = Map::from_iter([("execute".to_owned(), json!(command))]);
        request.extend(arguments.map(|arguments| ("arguments".to_owned(), arguments)));
        let line = Value::Object(request).to_string() + "\n";
        let written = timeout(REPLY_TIMEOUT, self.writer.write_all(line.as_bytes())).await;
        written
            .map_err(|_| QmpError::Timeout { command })?
            .map_err(|_| QmpError::Closed)?;
        let mut reply = self.reply(command).await?;
        if let Some(error) = reply.get("error") {
            let why = error.get("desc").and_then(Value::as_str).unwrap_or("no reason given");
            return Err(QmpError::Refused {
                command,
                why: why.to_owned(),
            });
        }
        let value = reply.get_mut("return").map(Value::take);
        value.ok_or_else(|| invalid_reply(command, &reply))
    }

    async fn reply(&mut self, command: &'static str) -> Result<Value, QmpError> {
        match timeout(REPLY_TIMEOUT, self.replies.recv()).await {
            Ok(Some(reply)) => Ok(reply),
            Ok(None) => Err(QmpError::Closed),
            Err(_) => Err(QmpError::Timeout { command }),
        }
    }
}

impl Drop for Qmp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Stores events and passes replies on until the connection is closed. A line that is not JSON is passed on as a string, and rejected by the receiver.
async fn read(reader: impl AsyncRead + Unpin, replies: mpsc::Sender<Value>, events: watch::Sender<Vec<QmpEvent>>) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let value: Value = serde_json::from_slice(&line)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&line).into_owned()));
        if let Some(event) = event(&value) {
            events.send_if_modified(|kept| {
                let room = kept.len() < MAX_EVENTS;
                if room {
                    kept.push(event);
                }
                room
            });
        } else if replies.send(value).await.is_err() {
            return;
        }
    }
}

fn event(value: &Value) -> Option<QmpEvent> {
    let name = value.get("event")?.as_str()?.to_owned();
    let reason = value.pointer("/data/reason").and_then(Value::as_str).map(str::to_owned);
    Some(QmpEvent { name, reason })
}

fn invalid_reply(command: &'static str, value: &Value) -> QmpError {
    QmpError::Invalid {
        command,
        line: value.to_string().chars().take(200).collect(),
    }
}

/// `info registers -a` prints a paragraph per CPU with `EFL=<hex>` or `RFL=<hex>`, and `HLT=<0|1>`. Bit 9 of the flags enables interrupts.
fn all_halted(registers: &str) -> bool {
    let field = |name: &'static str| {
        registers
            .split_whitespace()
            .filter_map(move |word| word.strip_prefix(name))
    };
    let interrupts = |flags: &str| u64::from_str_radix(flags, 16).map_or(true, |flags| flags & 0x200 != 0);
    let mut cpus = field("HLT=").zip(field("EFL=").chain(field("RFL="))).peekable();
    cpus.peek().is_some() && cpus.all(|(halted, flags)| halted == "1" && !interrupts(flags))
}

#[cfg(test)]
mod tests;
