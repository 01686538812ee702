//! Tells the runner when the measured window begins and ends, so that it reads all counters there and not only at its next turn.
//!
//! The times are the plan's, so a reading lies some milliseconds off the true edge; samples bear their own time, and the ledger says how far off
//! the nearest ones were. A command that is lost costs nothing but that nearness.

use std::time::Duration;

use protocol::Command;
use protocol::command::Edge;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep_until};

use protocol::load::LoadKind;

/// When a window begins and ends after the load was fired, as far as that is known beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edges {
    begin: Option<Duration>,
    /// `None`: with the load.
    end: Option<Duration>,
}

impl Edges {
    /// Those of a load.
    #[must_use]
    pub fn of(kind: &LoadKind) -> Self {
        let timing = kind.timing();
        let planned = Self {
            begin: Some(timing.warm_up),
            end: Some(timing.warm_up + timing.duration),
        };
        match kind {
            LoadKind::Rate(_) | LoadKind::Max(_) | LoadKind::Httperf(_) | LoadKind::Jmeter(_) | LoadKind::None(_) => {
                planned
            }
            LoadKind::Users(users) if users.requests.is_none() => planned,
            // Its window begins with the first call that is no warm-up, and ends with the last.
            LoadKind::Users(users) => Self {
                begin: users
                    .requests
                    .is_none_or(|list| list.warm_up == 0)
                    .then_some(Duration::ZERO),
                end: None,
            },
            LoadKind::Udp(_) => Self { end: None, ..planned },
            // A search ends with its window, whenever that is.
            LoadKind::Ramp(_) => Self { begin: None, end: None },
        }
    }

    /// Says each edge when it comes, until the load is over, which is the last one at the latest.
    /// `fired` is when the load began, which may be yet to be agreed on.
    pub async fn tell<T>(
        self,
        mouth: &UnboundedSender<Command>,
        fired: impl Future<Output = std::time::Instant>,
        load: impl Future<Output = T>,
    ) -> T {
        // Whoever listens outlives the load; were it gone, the attempt would be over.
        let say = || drop(mouth.send(Command::Edge(Edge {})));
        tokio::pin!(load);
        let fired = tokio::select! {
            biased;
            fired = fired => Instant::from_std(fired),
            done = &mut load => return done,
        };
        for after in [self.begin, self.end].into_iter().flatten() {
            tokio::select! {
                done = &mut load => {
                    say();
                    return done;
                }
                () = sleep_until(fired + after) => say(),
            }
        }
        let done = load.await;
        if self.end.is_none() {
            say();
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;
    use tokio::sync::mpsc::unbounded_channel;
    use tokio::sync::watch;

    /// How many edges are said of a load that ends once so many were.
    async fn said(begin: Option<Duration>, end: Option<Duration>, ends_after: usize) -> usize {
        let (mouth, mut heard) = unbounded_channel();
        let (count, mut counted) = watch::channel(0);
        let listen = async {
            while let Some(Command::Edge(_)) = heard.recv().await {
                count.send_modify(|count| *count += 1);
            }
            *count.borrow()
        };
        let tell = async {
            let load = async { counted.wait_for(|count| *count >= ends_after).await.is_ok() };
            assert!(
                Edges { begin, end }
                    .tell(&mouth, ready(std::time::Instant::now()), load)
                    .await
            );
            drop(mouth);
        };
        tokio::join!(listen, tell).0
    }

    #[tokio::test]
    async fn edges_are_said_when_they_come_and_a_load_that_is_over_ends_its_window() {
        const SOON: Option<Duration> = Some(Duration::from_millis(1));
        const NEVER: Option<Duration> = Some(Duration::from_secs(3600));
        assert_eq!(said(SOON, SOON, 2).await, 2);
        assert_eq!(said(SOON, NEVER, 1).await, 2);
        assert_eq!(said(NEVER, NEVER, 0).await, 1);
        assert_eq!(said(SOON, None, 1).await, 2);
        assert_eq!(said(None, None, 0).await, 1);
    }
}
