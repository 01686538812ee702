//! The middle of an attempt: from the first process to the end of sampling.

use std::time::{Duration, Instant};

use deploy::ready::{self, FirstReply};
use deploy::{AnyRunning, Running, Started};
use protocol::Name;
use protocol::event::{Endpoint, Ready, Stage, StartUp};
use protocol::sample::Samples;
use protocol::summary::Exit;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::MissedTickBehavior;
use tracing::warn;

use super::attempt::{Attempt, Deployed, ended};
use super::over::Over;
use crate::clock;
use crate::sampler::thread;
use crate::sampler::{Sampled, Sampler, Targets};
use crate::state::Input;
use crate::table::Report;

/// How the middle ended.
pub(super) struct Served {
    pub(super) over: Over,
    /// What was sampled, if it was READY.
    pub(super) sampled: Option<Sampled>,
}

impl Attempt {
    /// Waits for READY, says so, and samples until the attempt is over.
    pub(super) async fn serve(&mut self, deployed: &mut Deployed) -> Served {
        let replies = match self.replies(deployed).await {
            Ok(replies) => replies,
            Err(over) => return Served { over, sampled: None },
        };
        let zero_ns = clock::now_ns();
        let (out, batches) = mpsc::unbounded_channel();
        let sampler = match Sampler::start(self.sampling(zero_ns, &deployed.running), out) {
            Ok(sampler) => sampler,
            Err(error) => {
                let over = Over::Broken(Stage::Ready, format!("no thread to sample with: {error}"));
                return Served { over, sampled: None };
            }
        };
        let ready = ready_event(deployed, &replies, zero_ns);
        self.report(Report::Step(Input::BecameReady(Box::new(ready))));
        self.sample(&mut deployed.running, sampler, batches).await
    }

    /// Waits for the first correct reply of every service; a service that ends meanwhile breaks it at once.
    async fn replies(&mut self, deployed: &mut Deployed) -> Result<Vec<FirstReply>, Over> {
        let patience =
            Duration::from_millis(self.order.run.deadlines.ready_ms).saturating_sub(deployed.called.elapsed());
        let started = deployed.running.services().to_vec();
        tokio::select! {
            replies = ready::wait(&self.order.run.services, &started, patience) => {
                replies.map_err(|error| Over::Broken(Stage::Ready, error.to_string()))
            }
            (service, exit) = deployed.running.ended() => {
                let why = format!("service {service} ended before its first reply ({})", words(&exit));
                Err(Over::Broken(Stage::Ready, why))
            }
            why = ended(&mut self.ending) => Err(Over::Ended(why, Stage::Ready)),
        }
    }

    async fn sample(
        &mut self,
        running: &mut AnyRunning,
        sampler: Sampler,
        mut batches: UnboundedReceiver<Samples>,
    ) -> Served {
        let mut look = tokio::time::interval(self.order.run.sampling.interval());
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let over = loop {
            tokio::select! {
                why = ended(&mut self.ending) => break Over::Ended(why, Stage::Running),
                (service, exit) = running.ended() => {
                    let why = format!("service {service} ended by itself ({})", words(&exit));
                    break Over::Broken(Stage::Running, why);
                }
                Some(samples) = batches.recv() => self.report(Report::Samples(samples)),
                _ = look.tick() => sampler.watch(targets(running)),
            }
        };
        // Its last round comes before the teardown, while the processes still have counters.
        let sampled = tokio::task::spawn_blocking(move || sampler.finish()).await;
        while let Some(samples) = batches.recv().await {
            self.report(Report::Samples(samples));
        }
        let sampled = sampled
            .inspect_err(|fault| warn!(%fault, "the sampler failed"))
            .unwrap_or_default();
        Served {
            over,
            sampled: Some(sampled),
        }
    }

    fn sampling(&self, zero_ns: u64, running: &AnyRunning) -> thread::Order {
        thread::Order {
            root: "/proc".into(),
            page_bytes: self.context.page_bytes,
            interval: self.order.run.sampling.interval(),
            zero_ns,
            targets: targets(running),
        }
    }
}

fn targets(running: &AnyRunning) -> Targets {
    let pids_of = |started: &Started| (started.service.clone(), running.pids(&started.service));
    running.services().iter().map(pids_of).collect()
}

fn ready_event(deployed: &Deployed, replies: &[FirstReply], clock_ns: u64) -> Ready {
    let running = &deployed.running;
    let first_reply = |name: &Name| {
        let reply = replies.iter().find(|reply| reply.service == *name);
        reply.map_or_else(Instant::now, |reply| reply.at)
    };
    let startup = |started: &Started| StartUp {
        service: started.service.clone(),
        process_ns: ns(started.process_after),
        first_output_ns: running.first_output(&started.service).map(ns),
        first_reply_ns: ns(first_reply(&started.service).saturating_duration_since(deployed.called)),
    };
    let endpoint = |started: &Started| Endpoint {
        service: started.service.clone(),
        address: started.endpoint,
    };
    Ready {
        clock_ns,
        endpoints: running.services().iter().map(endpoint).collect(),
        startup: running.services().iter().map(startup).collect(),
        prepare_ns: ns(deployed.prepared),
        deviations: running.deviations(),
    }
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// An exit for people.
fn words(exit: &Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
        Exit::OutOfMemory => "out of memory: give it more with `memory_mib`".to_owned(),
        Exit::Crashed => "the guest crashed".to_owned(),
        Exit::Killed => "killed".to_owned(),
        Exit::Unknown => "nobody saw how".to_owned(),
    }
}
