//! Questions to a runner that stand outside an attempt, asked again until they are answered.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use protocol::bus::{BusError, CommandSender, EventReceiver};
use protocol::command::{Describe, Ping};
use protocol::event::{Refused, RefusedReason};
use protocol::facts::HostFacts;
use protocol::ids::Name;
use protocol::spec::PlatformSpec;
use protocol::{Command, Envelope, Event};
use tokio::time::timeout;

use super::clock::Exchange;

/// How long an answer is waited for before the question is asked again.
pub const RESEND_EVERY: Duration = Duration::from_secs(1);

/// The conversation with one runner.
#[derive(Debug)]
pub struct Link {
    commands: CommandSender,
    events: EventReceiver,
    host: Name,
    /// Events that came while an answer was waited for.
    pending: VecDeque<Envelope<Event>>,
}

/// Why a runner cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It says nothing.
    #[error(
        "the runner of host {host} does not answer {question} within {} s: is it running (`runner --config runner.toml`), with name = \"{host}\" and the same brokers, prefix and key?",
        waited.as_secs()
    )]
    Silent {
        /// The host.
        host: Name,
        /// The question.
        question: &'static str,
        /// How long it was waited for.
        waited: Duration,
    },
    /// It does not obey this controller.
    #[error("the runner of host {host} refuses: {}", refused.why)]
    Refused {
        /// The host.
        host: Name,
        /// Its words.
        refused: Refused,
    },
    /// The bus does not carry.
    #[error(transparent)]
    Bus(#[from] BusError),
}

impl Link {
    /// A link over both ends of the bus.
    #[must_use]
    pub const fn new(commands: CommandSender, events: EventReceiver, host: Name) -> Self {
        Self {
            commands,
            events,
            host,
            pending: VecDeque::new(),
        }
    }

    /// Asks what host it is and whether the platforms can be used there.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub async fn describe(&mut self, platforms: &[PlatformSpec], within: Duration) -> Result<HostFacts, LinkError> {
        let question = Command::Describe(Describe {
            platforms: platforms.to_vec(),
        });
        match self.ask(question, within).await? {
            Event::Facts(facts) => Ok(*facts),
            other => Err(self.nonsense("DESCRIBE", &other)),
        }
    }

    /// One exchange of PING and PONG.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub async fn ping(&mut self, within: Duration) -> Result<Exchange, LinkError> {
        let sent = Instant::now();
        match self.ask(Command::Ping(Ping {}), within).await? {
            Event::Pong(pong) => Ok(Exchange {
                sent,
                received: Instant::now(),
                clock_ns: pong.clock_ns,
            }),
            other => Err(self.nonsense("PING", &other)),
        }
    }

    /// The next event of this host. Cancel-safe.
    ///
    /// # Errors
    /// See [`BusError`].
    pub async fn next(&mut self) -> Result<Envelope<Event>, BusError> {
        match self.pending.pop_front() {
            Some(event) => Ok(event),
            None => self.arriving().await,
        }
    }

    async fn arriving(&mut self) -> Result<Envelope<Event>, BusError> {
        loop {
            let event = self.events.recv().await?;
            if event.host == self.host {
                return Ok(event);
            }
        }
    }

    /// The host at the other end.
    #[must_use]
    pub const fn host(&self) -> &Name {
        &self.host
    }

    /// A sending half of its own, for a task beside this one.
    #[must_use]
    pub fn commands(&self) -> CommandSender {
        self.commands.clone()
    }

    /// Asks, and asks again every [`RESEND_EVERY`], until any of the questions is answered. Other events wait for [`Link::next`].
    async fn ask(&mut self, question: Command, within: Duration) -> Result<Event, LinkError> {
        let word = question.word();
        let deadline = Instant::now() + within;
        let mut asked = Vec::new();
        while Instant::now() < deadline {
            asked.push(self.commands.send(&self.host, None, question.clone()).await?);
            let again = deadline.min(Instant::now() + RESEND_EVERY);
            while let Ok(event) = timeout(again.saturating_duration_since(Instant::now()), self.arriving()).await {
                let event = event?;
                if event.in_reply_to.is_some_and(|id| asked.contains(&id)) {
                    return self.obeyed(event.body);
                }
                self.pending.push_back(event);
            }
        }
        Err(LinkError::Silent {
            host: self.host.clone(),
            question: word,
            waited: within,
        })
    }

    fn obeyed(&self, event: Event) -> Result<Event, LinkError> {
        match event {
            Event::Refused(refused) => Err(LinkError::Refused {
                host: self.host.clone(),
                refused,
            }),
            event => Ok(event),
        }
    }

    fn nonsense(&self, question: &str, answer: &Event) -> LinkError {
        let why = format!("it answered {question} with {}", answer.word());
        LinkError::Refused {
            host: self.host.clone(),
            refused: Refused {
                reason: RefusedReason::Invalid,
                why,
            },
        }
    }
}
