//! What an attempt asks of the runner and of the load engine: a pure function of the experiment.

use std::net::SocketAddr;
use std::time::Duration;

use protocol::AttemptId;
use protocol::command::{Run, TrialRef};
use protocol::spec::{Deadlines, HttpProbe, Probe, Sampling, ServiceSpec};
use protocol::surroundings::Place;

use super::engine::{PATH, engine};
use crate::config::{Experiment, Load, LoadKind, Platform, TcpWorkload, Workload, WorkloadKind};
use crate::load::{BodyRule, Engine, Expect, LoadError};
use crate::store::{AttemptKey, LoadOrder};

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
    /// The load as the record keeps it.
    pub load: LoadOrder,
    /// What is asked of the load engine.
    pub kind: LoadKind,
    /// The seed of what is random in the load; another in each trial.
    pub seed: u64,
    /// What every reply is checked against.
    pub expect: Expect,
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
        let WorkloadKind::Tcp(tcp) = &workload.kind;
        let trial = TrialRef {
            experiment: experiment.name.clone(),
            cell: key.trial.cell.to_string(),
            block: key.trial.block,
            attempt: key.attempt,
        };
        let run = Run {
            trial,
            platform: platform.spec.clone(),
            services: vec![tcp_service(workload, tcp)],
            broker: None,
            seed: None,
            resources: experiment.resources.clone(),
            sampling: Sampling {
                interval_ms: millis(experiment.sampling_interval),
                idle_ms: millis(experiment.idle_window),
            },
            deadlines: runner_deadlines(experiment),
        };
        let body = BodyRule::Repeat {
            byte: b'A',
            count: tcp.reply_bytes,
        };
        let deadlines = PhaseLimits::new(experiment, &load.kind);
        Self {
            key,
            attempt: AttemptId::fresh(),
            index,
            run,
            load: LoadOrder::of(&load.kind),
            kind: load.kind.clone(),
            seed: experiment.seed ^ u64::from(index),
            expect: Expect { status: 200, body },
            deadlines,
        }
    }

    /// How many requests the load will send, warm-up included, as far as that is known; on random arrivals about so many.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number for a progress bar"
    )]
    pub fn requests_due(&self) -> Option<u64> {
        match &self.kind {
            LoadKind::Rate(rate) => {
                let time = rate.timing.warm_up + rate.timing.duration;
                Some((rate.rate_per_s * time.as_secs_f64()) as u64)
            }
            LoadKind::Users(users) => users.requests.map(|list| u64::from(list.each) * u64::from(users.users)),
            LoadKind::Ramp(_) | LoadKind::Max(_) => None,
        }
    }

    /// The engine for the load, with the service at this address.
    ///
    /// # Errors
    /// What is wrong with the plan.
    pub fn engine(&self, address: SocketAddr) -> Result<Box<dyn Engine + Send>, LoadError> {
        engine(&self.kind, address, &self.expect, self.seed)
    }
}

impl PhaseLimits {
    fn new(experiment: &Experiment, load: &LoadKind) -> Self {
        let (limits, timing) = (&experiment.deadlines, load.timing());
        Self {
            answer: limits.answer,
            deploy: limits.prepare + experiment.idle_window + limits.ready + limits.answer,
            load: timing.warm_up + timing.duration + timing.timeout + LOAD_SLACK,
            stop: limits.grace + limits.answer,
            renew: limits.lease / 3,
        }
    }
}

fn tcp_service(workload: &Workload, tcp: &TcpWorkload) -> ServiceSpec {
    let size = tcp.reply_bytes.to_string();
    ServiceSpec {
        name: workload.name.clone(),
        args: ["tcp", "--listen", "{listen}", "--reply-bytes", &size]
            .map(str::to_owned)
            .to_vec(),
        place: Place::Platform,
        port: Some(tcp.port),
        ready: Probe::Http(HttpProbe {
            path: PATH.to_owned(),
            status: 200,
            body_bytes: Some(tcp.reply_bytes),
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
