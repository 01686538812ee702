//! Requests to a runner or loader outside an attempt, repeated until they are answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::bus::{BusError, Cause, CommandSender, EventReceiver};
use protocol::command::{Describe, Ping};
use protocol::event::{Refused, RefusedReason};
use protocol::facts::HostFacts;
use protocol::ids::{AttemptId, MessageId, Name};
use protocol::load::MachineFacts;
use protocol::{Command, Envelope, Event};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::clock::Exchange;
use super::inbox::{Events, Inbox};

/// Interval after which an unanswered message is sent again.
pub const RESEND_INTERVAL: Duration = Duration::from_secs(1);

/// Timeout of an exchange of PING and PONG, after which the peer is lost.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a second reply to DESCRIBE is waited for.
const DUPLICATE_TIMEOUT: Duration = Duration::from_millis(200);

/// The connection to a runner or loader. Several tasks may use it at once.
#[derive(Debug)]
pub struct Link {
    commands: CommandSender,
    inbox: Arc<Inbox>,
    host: Name,
    /// Its events that answer no request.
    events: Mutex<Events>,
}

/// Errors of a connection.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The runner does not answer.
    #[error(
        "the runner of host {host} does not answer {request} within {} s: {cause}{}",
        waited.as_secs(),
        start_hint(cause, &format!("`runner --config runner.toml` on that host with name = \"{host}\""))
    )]
    Silent {
        /// The host.
        host: Name,
        /// The request.
        request: &'static str,
        /// The timeout.
        waited: Duration,
        /// The likeliest cause.
        cause: Box<Cause>,
    },
    /// A loader does not answer.
    #[error(
        "the loader {host} does not answer within {} s: {cause}{}",
        waited.as_secs(),
        start_hint(cause, &format!("`loader --as {host} --brokers ...`"))
    )]
    SilentLoader {
        /// Its name.
        host: Name,
        /// The timeout.
        waited: Duration,
        /// The likeliest cause.
        cause: Box<Cause>,
    },
    /// The peer refused the request.
    #[error("host {host} refuses: {}", refused.why)]
    Refused {
        /// The host.
        host: Name,
        /// Its reply.
        refused: Refused,
    },
    /// Kafka is not usable.
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// The remedy if nothing arrives from a host: start the daemon.
fn start_hint(cause: &Cause, command: &str) -> String {
    match cause {
        Cause::Nothing { .. } => format!(": start {command} with the same brokers and prefix"),
        _ => String::new(),
    }
}

/// A link to each host, in their order, over one connection. Events of other hosts are dropped.
#[must_use]
pub fn links<'a>(
    commands: &CommandSender,
    receiver: EventReceiver,
    hosts: impl IntoIterator<Item = &'a Name> + Clone,
) -> Vec<Arc<Link>> {
    let (inbox, events) = Inbox::new(receiver, hosts.clone());
    let inbox = Arc::new(inbox);
    let link = |(host, events): (&Name, Events)| Link {
        commands: commands.clone(),
        inbox: Arc::clone(&inbox),
        host: host.clone(),
        events: Mutex::new(events),
    };
    hosts.into_iter().zip(events).map(link).map(Arc::new).collect()
}

impl Link {
    /// Requests the host facts, and whether the platforms and services are available.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub async fn describe(&self, describe: Describe, within: Duration) -> Result<HostFacts, LinkError> {
        let mut request = Request::new(self, Command::Describe(describe));
        match request.reply(within).await?.body {
            Event::Facts(facts) => Ok(*facts),
            Event::Loader(_) => Err(self.refused(
                "it is a loader, but services are deployed by a runner: start `runner` on the target host under another name, and set `host` to it",
            )),
            other => Err(self.unexpected("DESCRIBE", &other)),
        }
    }

    /// Requests the host facts of a loader. A second loader of the same name is an error, since both would then generate load.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub async fn describe_loader(&self, within: Duration) -> Result<MachineFacts, LinkError> {
        let mut request = Request::new(self, Command::Describe(Describe::default()));
        let reply = request.reply(within).await.map_err(|error| match error {
            LinkError::Silent {
                host, waited, cause, ..
            } => LinkError::SilentLoader { host, waited, cause },
            error => error,
        })?;
        let facts = match reply.body {
            Event::Loader(facts) => *facts,
            Event::Facts(_) => {
                return Err(self.refused(
                    "it is a runner, but loads are generated by loaders: start `loader` there under another name, and add it to `loaders`",
                ));
            }
            other => return Err(self.unexpected("DESCRIBE", &other)),
        };
        let second = async {
            loop {
                match self.inbox.recv(&mut request.replies).await {
                    // Not the reply to a request that was repeated.
                    Ok(event) if event.in_reply_to != reply.in_reply_to => {}
                    event => return event,
                }
            }
        };
        match timeout(DUPLICATE_TIMEOUT, second).await {
            Err(_) => Ok(facts),
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(_)) => Err(self.refused("two peers have this name: give each loader and runner a unique name")),
        }
    }

    /// One exchange of PING and PONG.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub async fn ping(&self, within: Duration) -> Result<Exchange, LinkError> {
        let sent = Instant::now();
        match Request::new(self, Command::Ping(Ping {})).reply(within).await?.body {
            Event::Pong(pong) => Ok(Exchange {
                sent,
                received: Instant::now(),
                clock_ns: pong.clock_ns,
            }),
            other => Err(self.unexpected("PING", &other)),
        }
    }

    /// Adds this many exchanges of PING and PONG, one after the other.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub async fn measure_clock(&self, count: u32, exchanges: &mut Vec<Exchange>) -> Result<(), LinkError> {
        for _ in 0..count {
            exchanges.push(self.ping(EXCHANGE_TIMEOUT).await?);
        }
        Ok(())
    }

    /// The next event of this host that answers no request. Cancel-safe.
    ///
    /// # Errors
    /// See [`BusError`].
    pub async fn next(&self) -> Result<Envelope<Event>, BusError> {
        self.inbox.recv(&mut *self.events.lock().await).await
    }

    /// Sends a command about an attempt. Does not wait.
    pub fn send(&self, attempt: AttemptId, command: Command) {
        self.commands.send(&self.host, Some(attempt), command);
    }

    /// The peer's name.
    #[must_use]
    pub const fn host(&self) -> &Name {
        &self.host
    }

    fn unexpected(&self, request: &str, reply: &Event) -> LinkError {
        self.refused(&format!("it answered {request} with {}", reply.as_str()))
    }

    fn refused(&self, why: &str) -> LinkError {
        LinkError::Refused {
            host: self.host.clone(),
            refused: Refused {
                reason: RefusedReason::Invalid,
                why: why.to_owned(),
            },
        }
    }
}

/// A request and the replies to it, until it is dropped.
struct Request<'a> {
    link: &'a Link,
    command: Command,
    /// It may be sent several times.
    ids: Vec<MessageId>,
    sender: UnboundedSender<Envelope<Event>>,
    replies: Events,
}

impl<'a> Request<'a> {
    fn new(link: &'a Link, command: Command) -> Self {
        let (sender, replies) = unbounded_channel();
        Self {
            link,
            command,
            ids: Vec::new(),
            sender,
            replies,
        }
    }

    /// Sends the request, again every [`RESEND_INTERVAL`], until it is answered.
    async fn reply(&mut self, within: Duration) -> Result<Envelope<Event>, LinkError> {
        let began = Instant::now();
        loop {
            self.send();
            let left = within.saturating_sub(began.elapsed());
            match timeout(left.min(RESEND_INTERVAL), self.link.inbox.recv(&mut self.replies)).await {
                Ok(event) => return self.checked(event?),
                Err(_) if began.elapsed() < within => {}
                Err(_) => break,
            }
        }
        Err(LinkError::Silent {
            host: self.link.host.clone(),
            request: self.command.as_str(),
            waited: within,
            cause: Box::new(self.link.inbox.traffic().cause(&self.link.host, began)),
        })
    }

    fn send(&mut self) {
        let mut requests = self.link.inbox.requests();
        let id = self.link.commands.send(&self.link.host, None, self.command.clone());
        requests.insert(id, self.sender.clone());
        self.ids.push(id);
    }

    fn checked(&self, reply: Envelope<Event>) -> Result<Envelope<Event>, LinkError> {
        match reply.body {
            Event::Refused(refused) => Err(LinkError::Refused {
                host: self.link.host.clone(),
                refused,
            }),
            _ => Ok(reply),
        }
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        let mut requests = self.link.inbox.requests();
        for id in &self.ids {
            requests.remove(id);
        }
    }
}
