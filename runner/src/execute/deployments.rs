//! The deployments of an attempt that run, at several places.

use std::time::{Duration, Instant};

use deploy::ready::FirstReply;
use deploy::{Deployment, Meter, Started, Stopped, listeners};
use futures_util::future::{pending, select_all};
use protocol::Name;
use protocol::event::{Endpoint, StartUp};
use protocol::facts::ImageRecord;
use protocol::spec::Emulation;
use protocol::summary::{Exit, Teardown};
use tokio::time::timeout;

use crate::sampler::{Service, Targets};

/// How much longer than the grace a teardown may take: containers, guests and cgroups end slowly on a loaded host.
const TEARDOWN: Duration = Duration::from_secs(60);

/// Deployments, in the order of their start.
#[derive(Debug, Default)]
pub(super) struct Deployments(Vec<Deployed>);

#[derive(Debug)]
struct Deployed {
    running: Deployment,
    /// When the driver was called.
    called: Instant,
    replies: Vec<FirstReply>,
}

impl Deployments {
    /// Adds a deployment that was just started.
    pub(super) fn push(&mut self, running: Deployment, called: Instant) {
        self.0.push(Deployed {
            running,
            called,
            replies: Vec::new(),
        });
    }

    /// The services of the newest deployment.
    pub(super) fn newest(&self) -> Vec<Started> {
        let newest = self.0.last().map(|deployed| deployed.running.services().to_vec());
        newest.unwrap_or_default()
    }

    /// Stores the first replies of the newest deployment.
    pub(super) fn replied(&mut self, replies: Vec<FirstReply>) {
        if let Some(deployed) = self.0.last_mut() {
            deployed.replies = replies;
        }
    }

    /// All services, in the order of their start.
    pub(super) fn services(&self) -> impl Iterator<Item = &Started> {
        self.0.iter().flat_map(|deployed| deployed.running.services())
    }

    /// What is to be sampled. Scans all processes of the host for those of the platforms, so call it once.
    pub(super) fn targets(&self) -> Targets {
        Targets {
            services: self.0.iter().flat_map(Deployed::services).collect(),
            platform: self
                .0
                .iter()
                .flat_map(|deployed| deployed.running.platform_processes())
                .collect(),
        }
    }

    /// The meters of the platforms' own figures.
    pub(super) fn meters(&self) -> Vec<Meter> {
        self.0.iter().filter_map(|deployed| deployed.running.meter()).collect()
    }

    /// The addresses of the services that listen.
    pub(super) fn endpoints(&self) -> Vec<Endpoint> {
        let endpoint = |started: &Started| {
            Some(Endpoint {
                service: started.service.clone(),
                address: started.endpoint?,
            })
        };
        self.services().filter_map(endpoint).collect()
    }

    /// Where a service listens, to explain why it did not reply; empty for guests, whose sockets the host does not see.
    pub(super) fn describe_listeners(&self, service: &Name) -> String {
        let Some(deployed) = self.0.iter().find(|deployed| {
            let mut services = deployed.running.services().iter();
            services.any(|started| started.service == *service)
        }) else {
            return String::new();
        };
        if deployed.running.guest(service).is_some() {
            return String::new();
        }
        let listeners = listeners(&deployed.running.pids(service));
        let shown: Vec<String> = listeners.iter().map(ToString::to_string).collect();
        match shown.as_slice() {
            [] => "; it listens nowhere".to_owned(),
            some => format!("; it listens on {}", some.join(", ")),
        }
    }

    /// The image that a described service was started from.
    pub(super) fn image(&self, service: &Name) -> Option<ImageRecord> {
        self.0.iter().find_map(|deployed| deployed.running.image(service))
    }

    /// The start-up times of the services, from the call of their driver.
    pub(super) fn startup(&self) -> Vec<StartUp> {
        self.0.iter().flat_map(Deployed::startup).collect()
    }

    /// The parts of the contract on CPUs, memory and network path that could not be met, each once.
    pub(super) fn deviations(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for deviation in self.0.iter().flat_map(|deployed| deployed.running.deviations()) {
            if !all.contains(&deviation) {
                all.push(deviation);
            }
        }
        all
    }

    /// `Some`: guests were emulated.
    pub(super) fn emulation(&self) -> Option<Emulation> {
        self.0.iter().find_map(|deployed| deployed.running.emulation()).cloned()
    }

    /// Waits until a service exits by itself. Cancel-safe.
    pub(super) async fn ended(&mut self) -> (Name, Exit) {
        let waiting: Vec<_> = self
            .0
            .iter_mut()
            .map(|deployed| Box::pin(deployed.running.ended()))
            .collect();
        if waiting.is_empty() {
            return pending().await;
        }
        select_all(waiting).await.0
    }

    /// Stops all of them in reverse order, so that no service outlives one that it needs.
    pub(super) async fn stop(mut self, grace: Duration) -> Stopped {
        let mut stopped = Stopped {
            exits: Vec::new(),
            sizes: Vec::new(),
            teardown: Teardown::default(),
        };
        while let Some(deployed) = self.0.pop() {
            match timeout(grace + TEARDOWN, deployed.running.stop()).await {
                Ok(one) => {
                    stopped.exits.extend(one.exits);
                    stopped.sizes.extend(one.sizes);
                    stopped.teardown.leftovers.extend(one.teardown.leftovers);
                }
                Err(_) => {
                    let late = format!("the teardown took longer than {} s", (grace + TEARDOWN).as_secs());
                    stopped.teardown.leftovers.push(late);
                }
            }
        }
        stopped
    }
}

impl Deployed {
    fn services(&self) -> impl Iterator<Item = Service> {
        let service = |started: &Started| Service {
            name: started.service.clone(),
            processes: self.running.processes(&started.service),
            guest: self.running.guest(&started.service),
            interface: self.running.interface(&started.service),
        };
        self.running.services().iter().map(service)
    }

    fn startup(&self) -> Vec<StartUp> {
        let first_reply = |name: &Name| {
            let reply = self.replies.iter().find(|reply| reply.service == *name);
            reply.map_or_else(Instant::now, |reply| reply.at)
        };
        let startup = |started: &Started| StartUp {
            service: started.service.clone(),
            process_ns: ns(started.process_after),
            first_output_ns: self.running.first_output(&started.service).map(ns),
            first_reply_ns: ns(first_reply(&started.service).saturating_duration_since(self.called)),
        };
        self.running.services().iter().map(startup).collect()
    }
}

pub(super) fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
