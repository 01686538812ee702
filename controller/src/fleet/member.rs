//! The conversation with one loader about one attempt.

use std::time::{Duration, Instant};

use protocol::bus::CommandSender;
use protocol::command::{Stop, StopReason};
use protocol::event::Stage;
use protocol::ids::{AttemptId, Name};
use protocol::load::{Prepare, Start};
use protocol::{Command, Envelope, Event};
use tokio::time::{sleep_until, timeout_at};

use super::gather::{Brought, Gathering};
use crate::conduct::clock::{Exchange, RunnerClock};
use crate::conduct::link::{Link, RESEND_EVERY};
use loader::{Control, Progress};

/// Exchanges of PING and PONG before the load, and as many after it.
const EXCHANGES: u32 = 16;

/// How long one exchange may take before the loader counts as lost.
const EXCHANGE_WITHIN: Duration = Duration::from_secs(3);

/// A loader, and what is known of its clock in this attempt.
#[derive(Debug)]
pub struct Member {
    link: Link,
    exchanges: Vec<Exchange>,
}

impl Member {
    /// A loader at the other end of a link.
    #[must_use]
    pub const fn new(link: Link) -> Self {
        Self {
            link,
            exchanges: Vec::new(),
        }
    }

    /// Its name.
    #[must_use]
    pub const fn host(&self) -> &Name {
        self.link.host()
    }

    /// Its link, for questions outside of an attempt.
    pub const fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    /// Has it make its part of the load ready, and learns its clock.
    ///
    /// # Errors
    /// What it says, or that it says nothing.
    pub async fn prepare(&mut self, attempt: AttemptId, prepare: Prepare, within: Duration) -> Result<(), String> {
        self.exchanges.clear();
        let deadline = tokio::time::Instant::now() + within;
        let prepare = Command::Prepare(Box::new(prepare));
        loop {
            self.say(attempt, prepare.clone()).await?;
            let again = deadline.min(tokio::time::Instant::now() + RESEND_EVERY);
            while let Ok(event) = timeout_at(again, self.next(attempt)).await {
                if let Event::Prepared(_) = event?.body {
                    return self.exchange().await;
                }
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(self.lost(&format!("it was not ready within {} s", within.as_secs())));
            }
        }
    }

    /// Lets its part begin at an instant of this machine's clock.
    ///
    /// # Errors
    /// The bus'.
    pub async fn start(&mut self, attempt: AttemptId, at: Instant) -> Result<(), String> {
        let clock_ns = self.clock()?.at(at);
        self.say(attempt, Command::Start(Start { clock_ns })).await
    }

    /// Hears of its part until all of it is here, then looks at its clock again. Its progress is shown as that of this thread.
    ///
    /// # Errors
    /// What it says, or that it was silent for so long.
    pub async fn collect(
        &mut self,
        attempt: AttemptId,
        (control, thread): (&Control, usize),
        silence: Duration,
    ) -> Result<Brought, String> {
        let mut gathering = Gathering::new(control.scratch());
        let mut heard = tokio::time::Instant::now();
        while !gathering.is_complete() {
            let event = tokio::select! {
                event = self.next(attempt) => event?,
                () = sleep_until(heard + silence) => {
                    return Err(self.lost(&format!("it was silent for {:.1} s", silence.as_secs_f64())));
                }
            };
            heard = tokio::time::Instant::now();
            match event.body {
                Event::Progress(progress) => control.publish(
                    thread,
                    Progress {
                        sent: progress.sent,
                        succeeded: progress.succeeded,
                        failed: progress.failed,
                    },
                ),
                Event::Chunk(chunk) => gathering.chunk(&chunk).map_err(|why| self.lost(&why))?,
                Event::Fired(fired) => gathering.fired(fired),
                _ => {}
            }
        }
        self.exchange().await?;
        gathering.finish().map_err(|why| self.lost(&why))
    }

    /// Its name and a sending half of its own, for a task beside this one.
    #[must_use]
    pub fn speaker(&self) -> (Name, CommandSender) {
        (self.link.host().clone(), self.link.commands())
    }

    /// Tells it to end.
    ///
    /// # Errors
    /// The bus'.
    pub async fn stop(&self, attempt: AttemptId, reason: StopReason) -> Result<(), String> {
        self.say(attempt, Command::Stop(Stop { reason })).await
    }

    /// Its clock, from all exchanges so far.
    ///
    /// # Errors
    /// There was none.
    pub fn clock(&self) -> Result<RunnerClock, String> {
        RunnerClock::estimate(&self.exchanges).ok_or_else(|| self.lost("its clock is not known"))
    }

    /// How many exchanges the clock rests on.
    #[must_use]
    pub fn exchanges(&self) -> u32 {
        u32::try_from(self.exchanges.len()).unwrap_or(u32::MAX)
    }

    async fn exchange(&mut self) -> Result<(), String> {
        for _ in 0..EXCHANGES {
            let exchange = self.link.ping(EXCHANGE_WITHIN).await;
            self.exchanges
                .push(exchange.map_err(|error| self.lost(&error.to_string()))?);
        }
        Ok(())
    }

    /// The next event of the attempt; what ends the attempt is an error. Cancel-safe.
    async fn next(&mut self, attempt: AttemptId) -> Result<Envelope<Event>, String> {
        loop {
            let event = self.link.next().await.map_err(|error| error.to_string())?;
            if event.attempt != Some(attempt) {
                continue;
            }
            match &event.body {
                Event::Refused(refused) => return Err(self.lost(&refused.why)),
                Event::Failed(failed) if failed.stage == Stage::Unknown => {
                    return Err(self.lost("it was lost in the middle of the load, and is back"));
                }
                Event::Failed(failed) => return Err(self.lost(&failed.why)),
                _ => return Ok(event),
            }
        }
    }

    async fn say(&self, attempt: AttemptId, command: Command) -> Result<(), String> {
        let sent = self.link.say(attempt, command).await;
        sent.map_err(|error| self.lost(&error.to_string()))
    }

    fn lost(&self, why: &str) -> String {
        format!("loader {}: {why}", self.host())
    }
}
