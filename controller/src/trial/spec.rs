//! The specification of an attempt: the requests to runner and load engine, a pure function of the experiment.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use protocol::command::{Run, TrialRef};
use protocol::event::Ready;
use protocol::load::{
    DescribedSpec, EchoSpec, JungSpec, LettersSpec, LoadKind, LoadSpec, PartSpec, Prepare, TargetSpec, Transport,
};
use protocol::spec::{BROKER, Deadlines, Probe, Sampling, ServiceSource};
use protocol::{AttemptId, Name};

use super::edges::WindowEdges;
use super::workload::{asked, truth};
use crate::config::{Experiment, Load, Platform, Workload, WorkloadKind};
use crate::fleet::FleetLoad;
use analysis::store::AttemptKey;
use loader::jung::AcceptedCommands;
use loader::{Contact, Engine, LoadError, Part, build_engine};

/// The specification of an attempt.
#[derive(Clone, Debug)]
pub struct AttemptSpec {
    /// Which attempt.
    pub key: AttemptKey,
    /// Its id in every message.
    pub attempt: AttemptId,
    /// The position of the trial in the plan, from 0.
    pub index: u32,
    /// The RUN command.
    pub run: Run,
    /// The workload.
    pub workload: WorkloadKind,
    /// The service under load.
    pub entry: Name,
    /// The load.
    pub load: LoadSpec,
    /// The seed of the load; it differs between trials.
    pub seed: u64,
    /// The service under load, as far as it determines requests and expected replies.
    pub target: TargetSpec,
    /// Collects the accepted commands, for workloads with a readback.
    pub accepted: AcceptedCommands,
    /// The deadlines of the phases.
    pub deadlines: PhaseDeadlines,
}

/// The deadlines of the phases as seen from the controller: those of the runner plus a margin, so that the runner reports a timeout first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseDeadlines {
    /// Until ACCEPTED.
    pub answer: Duration,
    /// Until READY.
    pub deploy: Duration,
    /// Until the load completes.
    pub load: Duration,
    /// Until SUMMARY.
    pub stop: Duration,
    /// Interval between two RENEWs: a third of the lease.
    pub renew: Duration,
}

/// How long loaders may take to transmit their results; a silent loader is lost much earlier.
const TRANSFER: Duration = Duration::from_secs(600);

/// Margin of the load's deadline, for starting threads and for timeouts at the very end.
const LOAD_MARGIN: Duration = Duration::from_secs(15);

impl AttemptSpec {
    /// The specification of an attempt at a trial of a cell.
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
        let deadlines = PhaseDeadlines::new(experiment, &load.spec.kind);
        Self {
            key,
            attempt,
            index,
            run,
            workload: workload.kind.clone(),
            entry: asked.front,
            load: load.spec.clone(),
            seed: experiment.seed ^ u64::from(index),
            target: target(&workload.kind),
            accepted: AcceptedCommands::default(),
            deadlines,
        }
    }

    /// The edges of the load's window.
    #[must_use]
    pub fn edges(&self) -> WindowEdges {
        WindowEdges::of(&self.load.kind)
    }

    /// The number of requests of the load including warm-up, if known; approximate for Poisson arrivals.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number for a progress bar"
    )]
    pub fn expected_requests(&self) -> Option<u64> {
        match &self.load.kind {
            LoadKind::Rate(rate) => {
                let time = rate.timing.warm_up + rate.timing.duration;
                Some((rate.rate_per_s * time.as_secs_f64()) as u64)
            }
            LoadKind::Users(users) => users.requests.map(|list| u64::from(list.each) * u64::from(users.users)),
            LoadKind::Udp(udp) => Some(udp.packets),
            LoadKind::Runs(runs) => Some(u64::from(runs.warm_up_runs) + u64::from(runs.runs)),
            LoadKind::Ramp(_)
            | LoadKind::Max(_)
            | LoadKind::Httperf(_)
            | LoadKind::Jmeter(_)
            | LoadKind::Command(_) => None,
            LoadKind::None(_) => Some(0),
        }
    }

    /// Auxiliary services: processes of the host whatever the platform.
    #[must_use]
    pub fn auxiliary(&self) -> BTreeSet<Name> {
        let auxiliary = self.run.services.iter().filter(|service| !service.place.is_platform());
        let broker = self.run.broker.iter().filter_map(|_| BROKER.parse().ok());
        auxiliary.map(|service| service.name.clone()).chain(broker).collect()
    }

    /// The address of a service, according to READY.
    #[must_use]
    pub fn endpoint(ready: &Ready, service: &Name) -> Option<SocketAddr> {
        let found = ready.endpoints.iter().find(|endpoint| endpoint.service == *service);
        found.map(|endpoint| endpoint.address)
    }

    /// How it is checked that the load will reach the service.
    #[must_use]
    pub fn contact(&self) -> Contact {
        let entry = self.run.services.iter().find(|service| service.name == self.entry);
        let probe = entry.and_then(|service| match &service.source {
            ServiceSource::Workload(workload) => Some(&workload.ready),
            ServiceSource::Inline(description) => Some(&description.ready.probe),
            ServiceSource::Named(_) => None,
        });
        match (probe, self.workload.transport()) {
            (Some(Probe::Udp(probe)), _) => Contact::Packet(probe.packet.clone().into_bytes()),
            // What it would answer is not known here.
            (_, Transport::Udp) => Contact::Nothing,
            (_, Transport::Http | Transport::Tcp | Transport::Task) => Contact::Connection,
        }
    }

    /// The service that the readback queries, for workloads that have one.
    #[must_use]
    pub fn witness(&self, ready: &Ready) -> Option<SocketAddr> {
        match &self.workload {
            WorkloadKind::Tcp(_) | WorkloadKind::Udp(_) | WorkloadKind::Service(_) => None,
            WorkloadKind::Jung(_) => Self::endpoint(ready, &truth::witness()),
        }
    }

    /// Whether loaders generate the load, if there are any.
    #[must_use]
    pub fn is_split(&self) -> bool {
        self.load.kind.is_divisible()
    }

    /// The load for all loaders, with the service at this address; `None`: the load cannot be split.
    #[must_use]
    pub fn fleet_load(&self, address: SocketAddr) -> Option<FleetLoad> {
        let prepare = self.is_split().then(|| Prepare {
            trial: self.run.trial.clone(),
            load: self.load.clone(),
            part: PartSpec { index: 0, of: 1 },
            target: self.target.clone(),
            address,
            seed: self.seed,
            lease_ms: self.run.deadlines.lease_ms,
        })?;
        Some(FleetLoad {
            attempt: self.attempt,
            prepare,
            prepare_timeout: self.deadlines.answer,
            renew: self.deadlines.renew,
            accepted: self.accepted.clone(),
        })
    }

    /// The load engine, with the service at this address.
    ///
    /// # Errors
    /// An invalid load.
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

impl PhaseDeadlines {
    fn new(experiment: &Experiment, load: &LoadKind) -> Self {
        let limits = &experiment.deadlines;
        let transfer = match experiment.loaders.as_slice() {
            [] => Duration::ZERO,
            _ => limits.answer + TRANSFER,
        };
        Self {
            answer: limits.answer,
            deploy: limits.prepare + experiment.idle_window + limits.ready + limits.seed + limits.answer,
            load: load.longest() + truth::longest() + LOAD_MARGIN + transfer,
            stop: limits.grace + limits.answer,
            renew: limits.lease / 3,
        }
    }
}

/// The service under load, as far as it determines requests and expected replies.
fn target(workload: &WorkloadKind) -> TargetSpec {
    let letters = |count| TargetSpec::Letters(LettersSpec { count });
    match workload {
        WorkloadKind::Tcp(tcp) => letters(tcp.reply_bytes),
        WorkloadKind::Udp(udp) => match udp.letters {
            Some(count) => letters(count.into()),
            None => TargetSpec::Echo(EchoSpec {}),
        },
        WorkloadKind::Service(_) => TargetSpec::Described(DescribedSpec {}),
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
        seed_ms: millis(limits.seed),
        grace_ms: millis(limits.grace),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
