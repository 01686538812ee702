//! Questions to a runner that stand outside an attempt, asked again until they are answered.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use protocol::bus::{BusError, Cause, CommandSender};
use protocol::command::{Describe, Ping};
use protocol::event::{Refused, RefusedReason};
use protocol::facts::HostFacts;
use protocol::ids::{AttemptId, MessageId, Name};
use protocol::load::MachineFacts;
use protocol::spec::PlatformSpec;
use protocol::{Command, Envelope, Event};
use tokio::time::timeout;

use super::clock::Exchange;
use super::switch::Line;

/// How long an answer is waited for before the question is asked again.
pub const RESEND_EVERY: Duration = Duration::from_secs(1);

/// The conversation with one runner.
#[derive(Debug)]
pub struct Link {
    commands: CommandSender,
    line: Line,
    host: Name,
    /// Events that came while an answer was waited for.
    pending: VecDeque<Envelope<Event>>,
    /// The question that was answered last.
    answered: Option<MessageId>,
}

/// Why a runner cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It says nothing.
    #[error(
        "the runner of host {host} does not answer {question} within {} s: {cause}{}",
        waited.as_secs(),
        start(cause, &format!("`runner --config runner.toml` on that host with name = \"{host}\""))
    )]
    Silent {
        /// The host.
        host: Name,
        /// The question.
        question: &'static str,
        /// How long it was waited for.
        waited: Duration,
        /// The likeliest cause.
        cause: Box<Cause>,
    },
    /// A loader says nothing.
    #[error(
        "the loader {host} does not answer within {} s: {cause}{}",
        waited.as_secs(),
        start(cause, &format!("`loader --as {host} --brokers ...`"))
    )]
    SilentLoader {
        /// Its name.
        host: Name,
        /// How long it was waited for.
        waited: Duration,
        /// The likeliest cause.
        cause: Box<Cause>,
    },
    /// It does not obey this controller.
    #[error("host {host} refuses: {}", refused.why)]
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

/// The remedy where nothing of a host arrives, as the end of a sentence: to start what is not there.
fn start(cause: &Cause, command: &str) -> String {
    match cause {
        Cause::Nothing { .. } => format!(": start {command}, the same brokers and the same prefix"),
        _ => String::new(),
    }
}

impl Link {
    /// A link over both ends of the bus.
    #[must_use]
    pub const fn new(commands: CommandSender, line: Line, host: Name) -> Self {
        Self {
            commands,
            line,
            host,
            pending: VecDeque::new(),
            answered: None,
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
            Event::Loader(_) => Err(self.refused(
                "it is a loader, and services are deployed by a runner: start `runner` on the target host under another name, and name that as `host`",
            )),
            other => Err(self.nonsense("DESCRIBE", &other)),
        }
    }

    /// Asks a loader what machine it is on.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub async fn describe_loader(&mut self, within: Duration) -> Result<MachineFacts, LinkError> {
        let question = Command::Describe(Describe { platforms: Vec::new() });
        match self.ask(question, within).await {
            Ok(Event::Loader(facts)) => Ok(*facts),
            Ok(Event::Facts(_)) => Err(self.refused(
                "it is a runner, and loads are fired by loaders: start `loader` there under another name, and name that in `loaders`",
            )),
            Ok(other) => Err(self.nonsense("DESCRIBE", &other)),
            Err(LinkError::Silent {
                host, waited, cause, ..
            }) => Err(LinkError::SilentLoader { host, waited, cause }),
            Err(error) => Err(error),
        }
    }

    /// Waits a little whether another loader of the same name answers the last DESCRIBE, too: both would fire.
    ///
    /// # Errors
    /// [`LinkError::Refused`] if one does.
    pub async fn only_one(&mut self, within: Duration) -> Result<(), LinkError> {
        let until = tokio::time::Instant::now() + within;
        while let Ok(event) = tokio::time::timeout_at(until, self.line.recv()).await {
            let event = event?;
            if event.in_reply_to.is_some() && event.in_reply_to == self.answered {
                return Err(self.refused("two answer to this name: give each loader and runner a name of its own"));
            }
            self.pending.push_back(event);
        }
        Ok(())
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
            None => self.line.recv().await,
        }
    }

    /// Says something about an attempt.
    ///
    /// # Errors
    /// See [`BusError`].
    pub async fn say(&self, attempt: AttemptId, command: Command) -> Result<(), BusError> {
        let sent = self.commands.send(&self.host, Some(attempt), command).await;
        sent.map(drop)
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
        let word = question.as_str();
        let began = Instant::now();
        let deadline = began + within;
        let mut asked = Vec::new();
        while Instant::now() < deadline {
            asked.push(self.commands.send(&self.host, None, question.clone()).await?);
            let again = deadline.min(Instant::now() + RESEND_EVERY);
            while let Ok(event) = timeout(again.saturating_duration_since(Instant::now()), self.line.recv()).await {
                let event = event?;
                if event.in_reply_to.is_some_and(|id| asked.contains(&id)) {
                    self.answered = event.in_reply_to;
                    return self.obeyed(event.body);
                }
                self.pending.push_back(event);
            }
        }
        Err(LinkError::Silent {
            host: self.host.clone(),
            question: word,
            waited: within,
            cause: Box::new(self.line.traffic().cause(&self.host, began)),
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
        self.refused(&format!("it answered {question} with {}", answer.as_str()))
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
