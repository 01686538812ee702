//! What an attempt asks of the runner and of the load engine: a pure function of the experiment.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use protocol::command::{Run, TrialRef};
use protocol::event::Ready;
use protocol::load::{EchoSpec, JungSpec, LettersSpec, LoadKind, LoadSpec, PartSpec, Prepare, TargetSpec};
use protocol::spec::BROKER;
use protocol::spec::{Deadlines, Probe, Sampling};
use protocol::{AttemptId, Name};

use super::edges::Edges;
use super::workload::{asked, truth};
use crate::config::{Experiment, Load, Platform, Workload, WorkloadKind};
use crate::fleet::FleetOrder;
use analysis::store::AttemptKey;
use loader::jung::AcceptedCommands;
use loader::{Engine, LoadError, Part, build_engine};

/// An attempt, ordered.
#[derive(Clone, Debug)]
pub struct Order {
    /// Which attempt.
    pub key: AttemptKey,
    /// Its identity in every message.
    pub attempt: AttemptId,
    /// The position of the trial in the plan, from 0.
    pub index: u32,
    /// What is asked of the runner.
    pub run: Run,
    /// What runs.
    pub workload: WorkloadKind,
    /// The service that the load goes to.
    pub front: Name,
    /// The load.
    pub load: LoadSpec,
    /// The seed of what is random in the load; another in each trial.
    pub seed: u64,
    /// What is under load, which decides what every reply is checked against.
    pub target: TargetSpec,
    /// What the services accepted, of workloads whose truth is checked afterwards.
    pub accepted: AcceptedCommands,
    /// How long the phases may take, as seen from here.
    pub deadlines: PhaseLimits,
}

/// How long each phase may take as seen from the controller: the runner's own deadlines and a little more, so that it is the runner that says what was late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseLimits {
    /// Until ACCEPTED.
    pub answer: Duration,
    /// Until READY.
    pub deploy: Duration,
    /// Until the load is over.
    pub load: Duration,
    /// Until SUMMARY.
    pub stop: Duration,
    /// A third of the lease: the distance of two RENEWs.
    pub renew: Duration,
}

/// How long loaders may take to bring what they measured; one that says nothing meanwhile is lost much earlier.
const BRING: Duration = Duration::from_secs(600);

/// A load engine that is so late is broken: threads that start, requests that time out at the very end.
const LOAD_SLACK: Duration = Duration::from_secs(15);

impl Order {
    /// The order of an attempt at a trial of a cell.
    #[must_use]
    pub fn new(
        experiment: &Experiment,
        (platform, workload, load): (&Platform, &Workload, &Load),
        key: AttemptKey,
        index: u32,
    ) -> Self {
        let attempt = AttemptId::fresh();
        let asked = asked(workload, attempt, &experiment.deadlines);
        let trial = TrialRef {
            experiment: experiment.name.clone(),
            cell: key.trial.cell.to_string(),
            block: key.trial.block,
            attempt: key.attempt,
        };
        let run = Run {
            trial,
            platform: platform.spec.clone(),
            services: asked.services,
            broker: asked.broker,
            seed: asked.seed,
            resources: experiment.resources.clone(),
            sampling: Sampling {
                interval_ms: millis(experiment.sampling_interval),
                idle_ms: millis(experiment.idle_window),
            },
            deadlines: runner_deadlines(experiment),
        };
        let deadlines = PhaseLimits::new(experiment, &load.spec.kind);
        Self {
            key,
            attempt,
            index,
            run,
            workload: workload.kind.clone(),
            front: asked.front,
            load: load.spec.clone(),
            seed: experiment.seed ^ u64::from(index),
            target: target(&workload.kind),
            accepted: AcceptedCommands::default(),
            deadlines,
        }
    }

    /// When the window of its load begins and ends.
    #[must_use]
    pub fn edges(&self) -> Edges {
        Edges::of(&self.load.kind)
    }

    /// How many requests the load will send, warm-up included, as far as that is known; on random arrivals about so many.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number for a progress bar"
    )]
    pub fn requests_due(&self) -> Option<u64> {
        match &self.load.kind {
            LoadKind::Rate(rate) => {
                let time = rate.timing.warm_up + rate.timing.duration;
                Some((rate.rate_per_s * time.as_secs_f64()) as u64)
            }
            LoadKind::Users(users) => users.requests.map(|list| u64::from(list.each) * u64::from(users.users)),
            LoadKind::Udp(udp) => Some(udp.packets),
            LoadKind::Ramp(_) | LoadKind::Max(_) | LoadKind::Httperf(_) | LoadKind::Jmeter(_) => None,
            LoadKind::None(_) => Some(0),
        }
    }

    /// The services that are processes of the host, whatever the platform.
    #[must_use]
    pub fn beside(&self) -> BTreeSet<Name> {
        let beside = self.run.services.iter().filter(|service| !service.place.is_platform());
        let broker = self.run.broker.iter().filter_map(|_| BROKER.parse().ok());
        beside.map(|service| service.name.clone()).chain(broker).collect()
    }

    /// Where a service answers, as READY says.
    #[must_use]
    pub fn endpoint(ready: &Ready, service: &Name) -> Option<SocketAddr> {
        let found = ready.endpoints.iter().find(|endpoint| endpoint.service == *service);
        found.map(|endpoint| endpoint.address)
    }

    /// What counts as a correct reply of the service that the load goes to.
    #[must_use]
    pub fn probe(&self) -> Option<&Probe> {
        let front = self.run.services.iter().find(|service| service.name == self.front);
        front.map(|service| &service.ready)
    }

    /// Where the truth is read back after the load, for workloads that have one.
    #[must_use]
    pub fn witness(&self, ready: &Ready) -> Option<SocketAddr> {
        match &self.workload {
            WorkloadKind::Tcp(_) | WorkloadKind::Udp(_) => None,
            WorkloadKind::Jung(_) => Self::endpoint(ready, &truth::witness()),
        }
    }

    /// Whether loaders fire the load, where there are some.
    #[must_use]
    pub fn is_split(&self) -> bool {
        self.load.kind.is_divisible()
    }

    /// What is asked of all loaders together, with the service at this address; `None`: the load cannot be split.
    #[must_use]
    pub fn fleet(&self, address: SocketAddr) -> Option<FleetOrder> {
        let prepare = self.is_split().then(|| Prepare {
            trial: self.run.trial.clone(),
            load: self.load.clone(),
            part: PartSpec { index: 0, of: 1 },
            target: self.target.clone(),
            address,
            seed: self.seed,
            lease_ms: self.run.deadlines.lease_ms,
        })?;
        Some(FleetOrder {
            attempt: self.attempt,
            prepare,
            ready_within: self.deadlines.answer,
            renew: self.deadlines.renew,
            accepted: self.accepted.clone(),
        })
    }

    /// The engine for the load, with the service at this address.
    ///
    /// # Errors
    /// What is wrong with the plan.
    pub fn engine(&self, address: SocketAddr) -> Result<Box<dyn Engine + Send>, LoadError> {
        let order = loader::EngineSpec {
            load: &self.load,
            part: Part::WHOLE,
            seed: self.seed,
            target: &self.target,
            address,
        };
        build_engine(order, &self.accepted)
    }
}

impl PhaseLimits {
    fn new(experiment: &Experiment, load: &LoadKind) -> Self {
        let (limits, timing) = (&experiment.deadlines, load.timing());
        let together = match experiment.loaders.as_slice() {
            [] => Duration::ZERO,
            _ => limits.answer + BRING,
        };
        Self {
            answer: limits.answer,
            deploy: limits.prepare + experiment.idle_window + limits.ready + limits.seed + limits.answer,
            load: timing.warm_up + timing.duration + timing.timeout + truth::longest() + LOAD_SLACK + together,
            stop: limits.grace + limits.answer,
            renew: limits.lease / 3,
        }
    }
}

/// What is under load, as far as it decides what is asked and which reply is right.
fn target(workload: &WorkloadKind) -> TargetSpec {
    let letters = |count| TargetSpec::Letters(LettersSpec { count });
    match workload {
        WorkloadKind::Tcp(tcp) => letters(tcp.reply_bytes),
        WorkloadKind::Udp(udp) => match udp.letters {
            Some(count) => letters(count.into()),
            None => TargetSpec::Echo(EchoSpec {}),
        },
        WorkloadKind::Jung(jung) => TargetSpec::Jung(JungSpec {
            devices: jung.amounts.devices,
            mix: jung.mix,
        }),
    }
}

fn runner_deadlines(experiment: &Experiment) -> Deadlines {
    let limits = &experiment.deadlines;
    Deadlines {
        prepare_ms: millis(limits.prepare),
        ready_ms: millis(limits.ready),
        lease_ms: millis(limits.lease),
        grace_ms: millis(limits.grace),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
