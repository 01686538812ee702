//! The second part of an attempt: from READY to the end of sampling.

use deploy::Meter;
use protocol::Event;
use protocol::Name;
use protocol::bus::Reply;
use protocol::event::{Ready, Stage};
use protocol::sample::Samples;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tracing::warn;

use super::attempt::{Attempt, Measured, ended};
use super::bring_up::StartResult;
use super::deployments::{Deployments, ns};
use super::outcome::{Outcome, describe};
use super::placement;
use crate::clock;
use crate::facts::tree::Tree;
use crate::sampler::sample_log::SampleLog;
use crate::sampler::{ExternalSamples, Sampled, Sampler, SamplerConfig, Targets};
use crate::state::Input;

impl Attempt {
    /// Reports READY, and samples until the attempt ends.
    pub(super) async fn measure(&mut self, deployments: &mut Deployments, mut up: StartResult) -> Measured {
        let services: Vec<Name> = deployments.services().map(|started| started.service.clone()).collect();
        let kernel_log = up.kernel_log.take();
        let measured = |outcome, sampled| Measured {
            outcome,
            sampled,
            services,
            kernel_log,
        };
        let targets = deployments.targets();
        let zero_ns = clock::now_ns();
        let (out, batches) = mpsc::unbounded_channel();
        let mut sampler = match Sampler::start(self.sampler_config(zero_ns, targets.clone()), out) {
            Ok(sampler) => sampler,
            Err(error) => {
                let why = format!("cannot start the sampler's thread: {error}");
                return measured(Outcome::Failed(Stage::Ready, why), None);
            }
        };
        // READY comes after the first round, which takes longer than the others: no tick is late because of it, and it disturbs no request.
        sampler.opened().await;
        let placement = placement::of(&Tree::default(), &targets);
        let mut ready = ready_event(deployments, up, zero_ns);
        ready
            .deviations
            .extend(placement::deviations(&placement, &self.spec.run.resources));
        ready.placement = placement;
        self.report(Input::BecameReady(Box::new(ready)));
        let forwarding = self.forward(batches);
        let (outcome, sampled) = self.sample(deployments, sampler).await;
        if let Err(error) = forwarding.await {
            warn!(%error, "sending samples failed");
        }
        measured(outcome, Some(sampled))
    }

    async fn sample(&mut self, deployments: &mut Deployments, sampler: Sampler) -> (Outcome, Sampled) {
        // The platform's own figures are read twice, outside the measurement window: now, and before the last round.
        let meters = deployments.meters();
        tokio::spawn(read_meters(meters.clone(), sampler.external()));
        let outcome = loop {
            // An edge that was sent before the end is handled before it.
            tokio::select! {
                biased;
                Some(()) = self.edges.recv() => sampler.edge(),
                reason = ended(&mut self.end_rx) => break Outcome::Ended(reason, Stage::Running),
                (service, exit) = deployments.ended() => {
                    let why = format!("service {service} exited unexpectedly ({})", describe(&exit));
                    break Outcome::Failed(Stage::Running, why);
                }
            }
        };
        read_meters(meters, sampler.external()).await;
        // The last round comes before the teardown, while the processes still have counters.
        let sampled = tokio::task::spawn_blocking(move || sampler.finish()).await;
        let sampled = sampled
            .inspect_err(|error| warn!(%error, "the sampler failed"))
            .unwrap_or_default();
        (outcome, sampled)
    }

    /// Writes batches to a file of this host and sends them to the controller, until the sampler ends. On a thread of its own, because writing blocks.
    fn forward(&self, mut batches: UnboundedReceiver<Samples>) -> tokio::task::JoinHandle<()> {
        let (state, spec, events) = (self.context.host.state.clone(), &self.spec, self.events.clone());
        let to = Reply {
            host: self.context.host.runner.clone(),
            controller: spec.controller.clone(),
            epoch: spec.epoch,
            attempt: Some(spec.attempt),
            in_reply_to: None,
        };
        let attempt = spec.attempt;
        tokio::task::spawn_blocking(move || {
            let mut log = SampleLog::create(&state, attempt);
            while let Some(samples) = batches.blocking_recv() {
                log.append(&samples);
                // The receiver is gone if the process ends.
                let _ = events.send((to.clone(), Event::Samples(samples)));
            }
        })
    }

    fn sampler_config(&self, zero_ns: u64, targets: Targets) -> SamplerConfig {
        SamplerConfig {
            root: "/proc".into(),
            sys: "/sys".into(),
            page_bytes: self.context.page_bytes,
            interval: self.spec.run.sampling.interval(),
            zero_ns,
            priority: self.context.sampler,
            targets,
        }
    }
}

/// Reads the platforms' own figures into the sampler.
async fn read_meters(meters: Vec<Meter>, samples: ExternalSamples) {
    for meter in meters {
        samples.add(meter.read().await);
    }
}

fn ready_event(deployments: &Deployments, up: StartResult, clock_ns: u64) -> Ready {
    Ready {
        clock_ns,
        endpoints: deployments.endpoints(),
        startup: deployments.startup(),
        prepare_ns: ns(up.prepared),
        seed_ns: up.seeded.map(ns),
        idle: up.idle,
        placement: Vec::new(),
        deviations: deployments.deviations(),
        emulation: deployments.emulation(),
        services: up.services,
    }
}
