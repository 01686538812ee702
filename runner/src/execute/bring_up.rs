//! The first part of an attempt: from ACCEPTED to seeded services that reply.
//!
//! The platform is not probed again: DESCRIBE has proven it. What has changed since, such as an engine that was stopped, fails here with an error that
//! names it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deploy::native::run_to_completion;
use deploy::ready;
use deploy::{AnyDriver, Driver};
use protocol::Event;
use protocol::event::{Accepted, IdleWindow, Refused, RefusedReason, Stage};
use protocol::spec::ServiceSpec;
use protocol::spec::{SEED, SeedSpec};
use protocol::summary::Exit;

use super::attempt::{Attempt, Deadline, ended};
use super::deployments::{Deployments, ns};
use super::outcome::{Outcome, describe};
use super::plan::Planner;
use crate::kernel_log::{self, KernelLog};
use crate::sampler::host::host_use;
use crate::sampler::parse;

/// The result of a start.
#[derive(Debug)]
pub(super) struct StartResult {
    /// Making the images.
    pub(super) prepared: Duration,
    /// Seeding the services.
    pub(super) seeded: Option<Duration>,
    /// The whole host just before the first driver was called.
    pub(super) idle: Option<IdleWindow>,
}

impl Attempt {
    /// Accepts the RUN and starts all services. Whatever was started is in `deployments`, also on error.
    pub(super) async fn bring_up(&mut self, deployments: &mut Deployments) -> Result<StartResult, Outcome> {
        let (context, run, logs) = (Arc::clone(&self.context), Arc::clone(&self.run), self.logs());
        let broker = run.broker.as_ref();
        if let Some(why) = broker.and_then(|broker| context.programs.missing(broker.program)) {
            let reason = RefusedReason::Unmet;
            return Err(Outcome::Refused(Refused { reason, why }));
        }
        self.report(Event::Accepted(Accepted {}));
        let prepare = Deadline::after_ms(run.deadlines.prepare_ms);
        if broker.is_some() {
            let driver = AnyDriver::for_platform(&run.platform, &context.host);
            self.gateway = self.phase(Stage::Prepare, prepare, driver.host_gateway()).await?;
        }
        let planner = Planner {
            host: &context.host,
            programs: &context.programs,
            attempt: self.id,
            logs: &logs,
            gateway: self.gateway,
            free_cpus: context.free_cpus.as_ref(),
        };
        let planned = planner.plan(&run);
        let start = Instant::now();
        for one in &planned {
            let work = one.driver.prepare(&one.deployment);
            self.phase(Stage::Prepare, prepare, work).await?;
        }
        let prepared = start.elapsed();
        let idle = self.idle().await?;
        self.kernel_log = KernelLog::from_now(kernel_log::DEVICE.as_ref()).ok();
        let ready = Deadline::after_ms(run.deadlines.ready_ms);
        for one in &planned {
            let called = Instant::now();
            let running = self
                .phase(Stage::Start, ready, one.driver.start(&one.deployment))
                .await?;
            deployments.push(running, called);
            self.first_replies(deployments, &one.deployment.services, ready.left())
                .await?;
        }
        let seeded = match &run.seed {
            Some(seed) => Some(self.seed(deployments, seed).await?),
            None => None,
        };
        Ok(StartResult { prepared, seeded, idle })
    }

    /// Measures the whole host while nothing of the attempt runs.
    async fn idle(&mut self) -> Result<Option<IdleWindow>, Outcome> {
        let length = Duration::from_millis(self.run.sampling.idle_ms);
        tokio::select! {
            idle = measure_idle("/proc".as_ref(), length) => Ok(idle),
            reason = ended(&mut self.end_rx) => Err(Outcome::Ended(reason, Stage::Start)),
        }
    }

    /// Waits for the first correct reply of every service of the newest deployment; fails at once if a service exits.
    async fn first_replies(
        &mut self,
        deployments: &mut Deployments,
        services: &[ServiceSpec],
        timeout: Duration,
    ) -> Result<(), Outcome> {
        let started = deployments.newest();
        let replies = tokio::select! {
            replies = ready::wait(services, &started, timeout) => {
                replies.map_err(|error| Outcome::Failed(Stage::Ready, error.to_string()))?
            }
            (service, exit) = deployments.ended() => {
                let why = format!("service {service} exited before its first reply ({})", describe(&exit));
                return Err(Outcome::Failed(Stage::Ready, why));
            }
            reason = ended(&mut self.end_rx) => return Err(Outcome::Ended(reason, Stage::Ready)),
        };
        deployments.replied(replies);
        Ok(())
    }

    /// Seeds the services; returns how long it took.
    async fn seed(&mut self, deployments: &mut Deployments, seed: &SeedSpec) -> Result<Duration, Outcome> {
        let (host, attempt, logs) = (self.context.host.clone(), self.id, self.logs());
        let failed = |why: String| Outcome::Failed(Stage::Seed, why);
        let name = SEED.parse().map_err(|_| failed(format!("invalid name {SEED}")))?;
        let args = with_endpoints(&seed.args, deployments);
        let start = Instant::now();
        let seeding = self.phase(
            Stage::Seed,
            Deadline::after_ms(seed.deadline_ms),
            run_to_completion(&host, attempt, &name, &args, &logs),
        );
        let exit = tokio::select! {
            exit = seeding => exit?,
            (service, exit) = deployments.ended() => {
                let why = format!("service {service} exited while it was being seeded ({})", describe(&exit));
                return Err(failed(why));
            }
        };
        match exit {
            Exit::Code(0) => Ok(start.elapsed()),
            other => Err(failed(format!(
                "seeding failed ({}): {}",
                describe(&other),
                last_line(&logs.join(format!("{SEED}.log")))
            ))),
        }
    }
}

/// Reads the CPU time of the whole host twice, `length` apart; `None`: `length` is 0, or it cannot be read. `proc_root` is `/proc` except in tests.
async fn measure_idle(proc_root: &Path, length: Duration) -> Option<IdleWindow> {
    if length.is_zero() {
        return None;
    }
    let (first, start) = (host_use(proc_root)?, Instant::now());
    tokio::time::sleep(length).await;
    let (last, took) = (host_use(proc_root)?, start.elapsed());
    Some(IdleWindow {
        length_ns: ns(took),
        host: parse::host_between(&first, &last),
    })
}

/// Replaces `{endpoint:NAME}` by the address of that service.
fn with_endpoints(args: &[String], deployments: &Deployments) -> Vec<String> {
    let endpoints = deployments.endpoints();
    let replace = |arg: &String| {
        endpoints.iter().fold(arg.clone(), |arg, endpoint| {
            let placeholder = format!("{{endpoint:{}}}", endpoint.service);
            arg.replace(&placeholder, &endpoint.address.to_string())
        })
    };
    args.iter().map(replace).collect()
}

/// The last line of a file that is not blank, for messages.
fn last_line(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    line.unwrap_or("no output").chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_idle_window_has_its_length_and_is_absent_where_nothing_can_be_read() {
        let length = Duration::from_millis(50);
        let window = measure_idle("/proc".as_ref(), length).await.unwrap();
        let host = &window.host;
        assert!(window.length_ns >= 50_000_000);
        assert!(host.idle_ticks + host.user_ticks + host.system_ticks + host.steal_ticks > 0);
        assert_eq!(measure_idle("/nowhere".as_ref(), length).await, None);
        assert_eq!(measure_idle("/proc".as_ref(), Duration::ZERO).await, None);
    }
}
