//! Announces the edges of the measurement window to the runner, which then reads all counters at once.
//!
//! The announced times are those of the plan, so a reading lies some milliseconds off the actual edge; samples carry their own time, and the
//! resource breakdown records the distance. A lost announcement only costs precision.

use std::time::Duration;

use protocol::Command;
use protocol::command::Edge;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep_until};

use protocol::load::LoadKind;

/// The planned edges of the window, relative to the start of the load, as far as they are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowEdges {
    begin: Option<Duration>,
    /// `None`: the end of the load.
    end: Option<Duration>,
}

impl WindowEdges {
    /// The edges of a load's window.
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
            // The window begins with the first request that is not warm-up, and ends with the last.
            LoadKind::Users(users) => Self {
                begin: users
                    .requests
                    .is_none_or(|list| list.warm_up == 0)
                    .then_some(Duration::ZERO),
                end: None,
            },
            // A program that is told a duration takes a little longer; one that is not ends when it is done.
            LoadKind::Udp(_) | LoadKind::Command(_) => Self { end: None, ..planned },
            // The window of a search ends with the search.
            LoadKind::Ramp(_) => Self { begin: None, end: None },
            LoadKind::Runs(runs) => Self {
                begin: (runs.warm_up_runs == 0).then_some(Duration::ZERO),
                end: None,
            },
        }
    }

    /// Announces each edge at its time, until the load ends. `started` resolves when the load starts, which may still have to be agreed on.
    pub async fn announce<T>(
        self,
        command_tx: &UnboundedSender<Command>,
        started: impl Future<Output = std::time::Instant>,
        load: impl Future<Output = T>,
    ) -> T {
        // The receiver outlives the load.
        let announce = || drop(command_tx.send(Command::Edge(Edge {})));
        tokio::pin!(load);
        let started = tokio::select! {
            biased;
            started = started => Instant::from_std(started),
            done = &mut load => return done,
        };
        for after in [self.begin, self.end].into_iter().flatten() {
            tokio::select! {
                done = &mut load => {
                    announce();
                    return done;
                }
                () = sleep_until(started + after) => announce(),
            }
        }
        let done = load.await;
        if self.end.is_none() {
            announce();
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

    /// The number of edges announced for a load that ends after `ends_after` announcements.
    async fn announced(begin: Option<Duration>, end: Option<Duration>, ends_after: usize) -> usize {
        let (command_tx, mut command_rx) = unbounded_channel();
        let (count, mut counted) = watch::channel(0);
        let listen = async {
            while let Some(Command::Edge(_)) = command_rx.recv().await {
                count.send_modify(|count| *count += 1);
            }
            *count.borrow()
        };
        let announce = async {
            let load = async { counted.wait_for(|count| *count >= ends_after).await.is_ok() };
            assert!(
                WindowEdges { begin, end }
                    .announce(&command_tx, ready(std::time::Instant::now()), load)
                    .await
            );
            drop(command_tx);
        };
        tokio::join!(listen, announce).0
    }

    #[tokio::test]
    async fn edges_are_announced_and_the_end_of_the_load_ends_the_window() {
        const SOON: Option<Duration> = Some(Duration::from_millis(1));
        const NEVER: Option<Duration> = Some(Duration::from_secs(3600));
        assert_eq!(announced(SOON, SOON, 2).await, 2);
        assert_eq!(announced(SOON, NEVER, 1).await, 2);
        assert_eq!(announced(NEVER, NEVER, 0).await, 1);
        assert_eq!(announced(SOON, None, 1).await, 2);
        assert_eq!(announced(None, None, 0).await, 1);
    }
}
