//! Everything of an attempt that runs: deployments at several places, seen as one.

use std::time::{Duration, Instant};

use deploy::ready::FirstReply;
use deploy::{AnyRunning, Running, Started, Stopped};
use futures_util::future::{pending, select_all};
use protocol::Name;
use protocol::event::{Endpoint, StartUp};
use protocol::summary::{Exit, Teardown};
use tokio::time::timeout;

/// How much longer than the grace a teardown may take: containers, guests and cgroups end slowly on a loaded host.
const TEARDOWN: Duration = Duration::from_secs(60);

/// Deployments, in the order they were started.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    parts: Vec<Part>,
}

/// One deployment.
#[derive(Debug)]
struct Part {
    running: AnyRunning,
    /// When its driver was called.
    called: Instant,
    replies: Vec<FirstReply>,
}

impl Fleet {
    /// Takes one in that was started.
    pub(super) fn push(&mut self, running: AnyRunning, called: Instant) {
        self.parts.push(Part {
            running,
            called,
            replies: Vec::new(),
        });
    }

    /// The services of the newest deployment.
    pub(super) fn newest(&self) -> Vec<Started> {
        self.parts
            .last()
            .map(|part| part.running.services().to_vec())
            .unwrap_or_default()
    }

    /// The newest deployment has answered.
    pub(super) fn replied(&mut self, replies: Vec<FirstReply>) {
        if let Some(part) = self.parts.last_mut() {
            part.replies = replies;
        }
    }

    /// All services, in the order they were started.
    pub(super) fn services(&self) -> impl Iterator<Item = &Started> {
        self.parts.iter().flat_map(|part| part.running.services())
    }

    /// The processes of every service.
    pub(super) fn pids(&self) -> impl Iterator<Item = (Name, Vec<u32>)> {
        self.parts.iter().flat_map(|part| {
            let pids = |started: &Started| (started.service.clone(), part.running.pids(&started.service));
            part.running.services().iter().map(pids)
        })
    }

    /// Where those answer that listen.
    pub(super) fn endpoints(&self) -> Vec<Endpoint> {
        let endpoint = |started: &Started| {
            Some(Endpoint {
                service: started.service.clone(),
                address: started.endpoint?,
            })
        };
        self.services().filter_map(endpoint).collect()
    }

    /// How long each took to start, from the call of its own driver.
    pub(super) fn startup(&self) -> Vec<StartUp> {
        self.parts.iter().flat_map(Part::startup).collect()
    }

    /// What of the fairness contract could not be kept, in words.
    pub(super) fn deviations(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for deviation in self.parts.iter().flat_map(|part| part.running.deviations()) {
            if !all.contains(&deviation) {
                all.push(deviation);
            }
        }
        all
    }

    /// Waits until a service ends by itself; for ever where there is none. Cancel-safe.
    pub(super) async fn ended(&mut self) -> (Name, Exit) {
        let waiting: Vec<_> = self
            .parts
            .iter_mut()
            .map(|part| Box::pin(part.running.ended()))
            .collect();
        if waiting.is_empty() {
            return pending().await;
        }
        select_all(waiting).await.0
    }

    /// Ends all, the last first: who needs another goes before it. Says what is left.
    pub(super) async fn stop(mut self, grace: Duration) -> Stopped {
        let mut stopped = Stopped {
            exits: Vec::new(),
            sizes: Vec::new(),
            teardown: Teardown::default(),
        };
        while let Some(part) = self.parts.pop() {
            match timeout(grace + TEARDOWN, part.running.stop()).await {
                Ok(one) => {
                    stopped.exits.extend(one.exits);
                    stopped.sizes.extend(one.sizes);
                    stopped.teardown.leftovers.extend(one.teardown.leftovers);
                }
                Err(_) => {
                    let late = format!("the teardown did not end within {} s", (grace + TEARDOWN).as_secs());
                    stopped.teardown.leftovers.push(late);
                }
            }
        }
        stopped
    }
}

impl Part {
    fn startup(&self) -> Vec<StartUp> {
        let first_reply = |name: &Name| {
            let reply = self.replies.iter().find(|reply| reply.service == *name);
            reply.map_or_else(Instant::now, |reply| reply.at)
        };
        let one = |started: &Started| StartUp {
            service: started.service.clone(),
            process_ns: ns(started.process_after),
            first_output_ns: self.running.first_output(&started.service).map(ns),
            first_reply_ns: ns(first_reply(&started.service).saturating_duration_since(self.called)),
        };
        self.running.services().iter().map(one).collect()
    }
}

pub(super) fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
