//! One loader during an attempt.

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::event::Stage;
use protocol::ids::AttemptId;
use protocol::load::{Prepare, Start};
use protocol::{Command, Envelope, Event};
use tokio::time::{sleep_until, timeout_at};

use super::assembler::{LoaderResult, ResultAssembler};
use crate::peer::clock::{Exchange, PeerClock};
use crate::peer::link::{Link, RESEND_INTERVAL};
use loader::{Control, Progress};

/// The number of PING exchanges before the load, and again after it.
const EXCHANGES: u32 = 16;

/// A loader, with the clock exchanges of the current attempt.
#[derive(Debug)]
pub struct RemoteLoader {
    /// The connection.
    pub link: Arc<Link>,
    /// The exchanges behind the clock estimate.
    pub exchanges: Vec<Exchange>,
}

impl RemoteLoader {
    /// Has it prepare its part of the load, and measures its clock.
    ///
    /// # Errors
    /// The loader's error, or a timeout.
    pub async fn prepare(&mut self, attempt: AttemptId, prepare: Prepare, within: Duration) -> Result<(), String> {
        self.exchanges.clear();
        let deadline = tokio::time::Instant::now() + within;
        let prepare = Command::Prepare(Box::new(prepare));
        loop {
            self.link.send(attempt, prepare.clone());
            let again = deadline.min(tokio::time::Instant::now() + RESEND_INTERVAL);
            while let Ok(event) = timeout_at(again, self.next_event(attempt)).await {
                if let Event::Prepared(_) = event?.body {
                    return self.exchange().await;
                }
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(self.lost(&format!("not prepared within {} s", within.as_secs())));
            }
        }
    }

    /// Starts its part at an instant of this machine's clock.
    ///
    /// # Errors
    /// Its clock is unknown.
    pub fn start(&self, attempt: AttemptId, at: Instant) -> Result<(), String> {
        let clock_ns = self.clock()?.at(at);
        self.link.send(attempt, Command::Start(Start { clock_ns }));
        Ok(())
    }

    /// Receives its result, then measures its clock again. Its progress is published as that of this thread.
    ///
    /// # Errors
    /// The loader's error, or that it was silent for this long.
    pub async fn collect(
        &mut self,
        attempt: AttemptId,
        (control, thread): (&Control, usize),
        silence: Duration,
    ) -> Result<LoaderResult, String> {
        let mut result = ResultAssembler::new(control.scratch());
        let mut last_message = tokio::time::Instant::now();
        while !result.is_complete() {
            let event = tokio::select! {
                event = self.next_event(attempt) => event?,
                () = sleep_until(last_message + silence) => {
                    return Err(self.lost(&format!("silent for {:.1} s", silence.as_secs_f64())));
                }
            };
            last_message = tokio::time::Instant::now();
            match event.body {
                Event::Progress(progress) => control.publish(
                    thread,
                    Progress {
                        sent: progress.sent,
                        succeeded: progress.succeeded,
                        failed: progress.failed,
                    },
                ),
                Event::Chunk(chunk) => result.add_chunk(&chunk).map_err(|why| self.lost(&why))?,
                Event::Fired(fired) => result.set_totals(fired),
                _ => {}
            }
        }
        self.exchange().await?;
        result.finish().map_err(|why| self.lost(&why))
    }

    /// Its clock, estimated from all exchanges of the attempt.
    ///
    /// # Errors
    /// There was no exchange.
    pub fn clock(&self) -> Result<PeerClock, String> {
        PeerClock::estimate(&self.exchanges).ok_or_else(|| self.lost("its clock is unknown"))
    }

    async fn exchange(&mut self) -> Result<(), String> {
        let measured = self.link.measure_clock(EXCHANGES, &mut self.exchanges).await;
        measured.map_err(|error| self.lost(&error.to_string()))
    }

    /// The next event of the attempt; an event that ends the attempt is an error. Cancel-safe.
    async fn next_event(&mut self, attempt: AttemptId) -> Result<Envelope<Event>, String> {
        loop {
            let event = self.link.next().await.map_err(|error| error.to_string())?;
            if event.attempt != Some(attempt) {
                continue;
            }
            match &event.body {
                Event::Refused(refused) => return Err(self.lost(&refused.why)),
                Event::Failed(failed) if failed.stage == Stage::Unknown => {
                    return Err(self.lost("it restarted during the load"));
                }
                Event::Failed(failed) => return Err(self.lost(&failed.why)),
                _ => return Ok(event),
            }
        }
    }

    fn lost(&self, why: &str) -> String {
        format!("loader {}: {why}", self.link.host())
    }
}
