//! Everything of an attempt that runs: deployments at several places, seen as one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deploy::ready::FirstReply;
use deploy::{Deployment, Meter, Started, Stopped};
use futures_util::future::{pending, select_all};
use protocol::Name;
use protocol::event::{Endpoint, StartUp};
use protocol::summary::{Exit, Teardown};
use tokio::time::timeout;

use crate::sampler::{Targets, target};

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
    running: Deployment,
    /// When its driver was called.
    called: Instant,
    replies: Vec<FirstReply>,
}

impl Fleet {
    /// Takes one in that was started.
    pub(super) fn push(&mut self, running: Deployment, called: Instant) {
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

    /// The processes of every service as they are now, and those of the platform as they were found.
    pub(super) fn targets(&self, platform: &Arc<[target::Part]>) -> Targets {
        Targets {
            services: self.parts.iter().flat_map(Part::targets).collect(),
            platform: Arc::clone(platform),
        }
    }

    /// The processes that work for the platforms. Looks through all processes: to be asked once.
    pub(super) fn platform(&self) -> Arc<[target::Part]> {
        let all = self.parts.iter().flat_map(|part| part.running.platform_processes());
        let one = |part: deploy::PlatformProcess| target::Part {
            name: part.name,
            service: part.service,
            pid: part.pid,
        };
        all.map(one).collect()
    }

    /// What asks the platforms for their own figures.
    pub(super) fn meters(&self) -> Vec<Meter> {
        self.parts.iter().filter_map(|part| part.running.meter()).collect()
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
    fn targets(&self) -> impl Iterator<Item = target::Service> {
        let one = |started: &Started| {
            let (name, running) = (started.service.clone(), &self.running);
            let mut pids = running.pids(&name);
            // The first process first: its cgroup is the service's.
            pids.sort_by_key(|&pid| pid != started.pid);
            let guest = running.guest(&name).map(|guest| target::Guest {
                vcpus: guest.vcpus,
                memory_bytes: guest.memory_bytes,
            });
            target::Service {
                interface: running.interface(&name),
                name,
                pids,
                guest,
            }
        };
        self.running.services().iter().map(one)
    }

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
