//! The middle of an attempt: from READY to the end of sampling.

use std::sync::Arc;

use deploy::Meter;
use protocol::event::{Ready, Stage};
use protocol::sample::Samples;
use protocol::{AttemptId, Name};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::MissedTickBehavior;
use tracing::warn;

use super::attempt::{Attempt, ended};
use super::bring_up::Up;
use super::fleet::{Fleet, ns};
use super::over::Over;
use super::{Reports, placement, words};
use crate::clock;
use crate::facts::tree::Tree;
use crate::kernel_log::KernelLog;
use crate::sampler::keep::Keeper;
use crate::sampler::thread::{self, Inlet};
use crate::sampler::{Sampled, Sampler, Targets, target};
use crate::state::Input;
use crate::table::Report;

/// How the middle ended.
pub(super) struct Served {
    pub(super) over: Over,
    /// What was sampled, if it was READY.
    pub(super) sampled: Option<Sampled>,
    /// Every service, in the order they were started.
    pub(super) services: Vec<Name>,
    /// The kernel's log since just before the start.
    pub(super) kernel_log: Option<KernelLog>,
}

impl Attempt {
    /// Says READY, and samples until the attempt is over.
    pub(super) async fn serve(&mut self, fleet: &mut Fleet, mut up: Up) -> Served {
        let services: Vec<Name> = fleet.services().map(|started| started.service.clone()).collect();
        let kernel_log = up.kernel_log.take();
        let served = |over, sampled| Served {
            over,
            sampled,
            services,
            kernel_log,
        };
        let platform = fleet.platform();
        let zero_ns = clock::now_ns();
        let (out, batches) = mpsc::unbounded_channel();
        let mut sampler = match Sampler::start(self.sampling(zero_ns, fleet.targets(&platform)), out) {
            Ok(sampler) => sampler,
            Err(error) => {
                let why = format!("no thread to sample with: {error}");
                return served(Over::Broken(Stage::Ready, why), None);
            }
        };
        // Opening is done before anything is asked of the services, and no tick is late for it.
        sampler.opened().await;
        let placement = placement::of(&Tree::default(), &fleet.targets(&platform));
        let mut ready = ready_event(fleet, up, zero_ns);
        ready
            .deviations
            .extend(placement::deviations(&placement, &self.order.run.resources));
        ready.placement = placement;
        self.report(Report::Step(Input::BecameReady(Box::new(ready))));
        let (over, sampled) = self.sample(fleet, &platform, sampler, batches).await;
        served(over, Some(sampled))
    }

    async fn sample(
        &mut self,
        fleet: &mut Fleet,
        platform: &Arc<[target::Part]>,
        sampler: Sampler,
        mut batches: UnboundedReceiver<Samples>,
    ) -> (Over, Sampled) {
        let mut out = Out {
            keeper: Keeper::create(&self.context.host.state, self.order.attempt),
            attempt: self.order.attempt,
            reports: self.reports.clone(),
        };
        // The platform's own figures, outside of the window: now, and before the last round.
        let meters = fleet.meters();
        tokio::spawn(ask(meters.clone(), sampler.inlet()));
        let mut look = tokio::time::interval(self.order.run.sampling.interval());
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let over = loop {
            // An edge that was told before the end is read before it.
            tokio::select! {
                biased;
                Some(()) = self.edges.recv() => sampler.edge(),
                why = ended(&mut self.ending) => break Over::Ended(why, Stage::Running),
                (service, exit) = fleet.ended() => {
                    let why = format!("service {service} ended by itself ({})", words(&exit));
                    break Over::Broken(Stage::Running, why);
                }
                Some(samples) = batches.recv() => out.send(samples),
                _ = look.tick() => sampler.watch(fleet.targets(platform)),
            }
        };
        ask(meters, sampler.inlet()).await;
        // Its last round comes before the teardown, while the processes still have counters.
        let sampled = tokio::task::spawn_blocking(move || sampler.finish()).await;
        while let Some(samples) = batches.recv().await {
            out.send(samples);
        }
        let sampled = sampled
            .inspect_err(|fault| warn!(%fault, "the sampler failed"))
            .unwrap_or_default();
        (over, sampled)
    }

    fn sampling(&self, zero_ns: u64, targets: Targets) -> thread::Order {
        thread::Order {
            root: "/proc".into(),
            sys: "/sys".into(),
            page_bytes: self.context.page_bytes,
            interval: self.order.run.sampling.interval(),
            zero_ns,
            priority: self.context.sampler,
            targets,
        }
    }
}

/// Where samples go: into a file of this host, and to the controller.
struct Out {
    keeper: Keeper,
    attempt: AttemptId,
    reports: Reports,
}

impl Out {
    fn send(&mut self, samples: Samples) {
        self.keeper.keep(&samples);
        // The daemon is gone only if the process is about to end.
        let _ = self.reports.send((self.attempt, Report::Samples(samples)));
    }
}

/// Hands the platforms' own figures to the sampler.
async fn ask(meters: Vec<Meter>, inlet: Inlet) {
    for meter in meters {
        inlet.add(meter.read().await);
    }
}

fn ready_event(fleet: &Fleet, up: Up, clock_ns: u64) -> Ready {
    Ready {
        clock_ns,
        endpoints: fleet.endpoints(),
        startup: fleet.startup(),
        prepare_ns: ns(up.prepared),
        seed_ns: up.seeded.map(ns),
        idle: up.idle,
        placement: Vec::new(),
        deviations: fleet.deviations(),
    }
}
