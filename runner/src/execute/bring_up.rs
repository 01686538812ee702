//! The first part of an attempt: from the probe of the platform to seeded services that reply.

use std::path::Path;
use std::time::{Duration, Instant};

use deploy::native::run_to_completion;
use deploy::ready;
use deploy::seed::{self, Seeding};
use deploy::{AnyDriver, DeploymentSpec, Driver, HostGateway, Service};
use protocol::event::{IdleWindow, Refused, RefusedReason, Stage};
use protocol::facts::{ServiceRecord, Unmet};
use protocol::spec::{NativeSpec, PlatformSpec, SEED, SeedSpec, ServiceSpec};
use protocol::summary::Exit;

use super::attempt::{Attempt, Deadline, ended};
use super::deployments::{Deployments, ns};
use super::outcome::{Outcome, describe};
use super::plan::{self, PlacedService, PlannedDeployment, Planner};
use crate::kernel_log::{self, KernelLog};
use crate::sampler::host::host_use;
use crate::sampler::parse;
use crate::state::Input;
use crate::validate::{self, Listener};

/// How long a platform may take to answer a probe. After that the RUN is accepted, and `prepare` fails if the platform is not there.
const PROBE: Duration = Duration::from_secs(5);

/// The result of a start.
#[derive(Debug)]
pub(super) struct StartResult {
    /// Making the images.
    pub(super) prepared: Duration,
    /// Seeding the services.
    pub(super) seeded: Option<Duration>,
    /// The whole host just before the first driver was called.
    pub(super) idle: Option<IdleWindow>,
    /// The kernel's log from then on; `None`: not readable.
    pub(super) kernel_log: Option<KernelLog>,
    /// What the described services are.
    pub(super) services: Vec<ServiceRecord>,
}

impl Attempt {
    /// Starts all services. Whatever was started is in `deployments`, also on error. Returns as well how the platform reaches the host, if known.
    pub(super) async fn bring_up(
        &mut self,
        deployments: &mut Deployments,
    ) -> (Result<StartResult, Outcome>, Option<HostGateway>) {
        let (gateway, services) = match self.accept().await {
            Ok(accepted) => accepted,
            Err(outcome) => return (Err(outcome), None),
        };
        (self.start(deployments, gateway, services).await, gateway)
    }

    /// Probes the platform, resolves the services, accepts the RUN, and finds out how the platform reaches the host if that is needed.
    async fn accept(&mut self) -> Result<(Option<HostGateway>, Vec<PlacedService>), Outcome> {
        let run = self.spec.run.clone();
        let services = self.resolve().await?;
        let driver = AnyDriver::for_platform(&run.platform, &self.context.host);
        let probed = self
            .phase(Stage::Prepare, Deadline::after(PROBE), async {
                Ok(driver.probe().await)
            })
            .await;
        let probed = match probed {
            Err(Outcome::Failed(..)) => None,
            probed => Some(probed?),
        };
        let unmet = probed.and_then(|facts| facts.unmet);
        let unmet = unmet.map(|unmet| format!("{}: {}", unmet.need, unmet.remedy));
        let broker = run.broker.as_ref();
        if let Some(why) = unmet.or_else(|| self.context.programs.missing(broker?.program)) {
            let reason = RefusedReason::Unmet;
            return Err(Outcome::Refused(Refused { reason, why }));
        }
        self.report(Input::Accepted);
        let gateway = if broker.is_some() || plan::need_addresses(&services) {
            self.phase(Stage::Prepare, Deadline::after(PROBE), driver.host_gateway())
                .await?
        } else {
            None
        };
        Ok((gateway, services))
    }

    /// What the RUN's services are on this host, as far as they are allowed.
    async fn resolve(&self) -> Result<Vec<PlacedService>, Outcome> {
        let refused = |reason, why| Outcome::Refused(Refused { reason, why });
        let unmet = |unmet: Unmet| refused(RefusedReason::Unmet, format!("{}: {}", unmet.need, unmet.remedy));
        let (catalog, run) = (self.context.catalog.clone(), self.spec.run.clone());
        let broker = run.broker.clone();
        // Files are read and hashed.
        let resolved = tokio::task::spawn_blocking(move || {
            catalog.allow().platform(&run.platform)?;
            catalog.allow().resources(&run.resources)?;
            let one = |spec: &ServiceSpec| {
                let mut resolved = catalog.resolve(spec)?;
                let native = PlatformSpec::Native(NativeSpec {});
                let platform = if spec.place.is_platform() {
                    &run.platform
                } else {
                    &native
                };
                catalog.check(&resolved.service, platform)?;
                let description = resolved.service.description().map(|described| described.description());
                if !description.is_some_and(|description| description.runs_native_program(platform.kind()))
                    && let Some(record) = &mut resolved.record
                {
                    record.program = None;
                }
                Ok(PlacedService {
                    place: spec.place,
                    resolved,
                })
            };
            run.services.iter().map(one).collect::<Result<Vec<_>, Unmet>>()
        });
        let resolved = resolved.await.unwrap_or_else(|error| {
            Err(Unmet {
                need: format!("internal error of the runner: {error}"),
                remedy: "see its log".to_owned(),
            })
        });
        let services = resolved.map_err(unmet)?;
        let listeners = services.iter().map(|placed| Listener::from(&placed.resolved.service));
        let mut problems = validate::port_problems(listeners, broker.as_ref());
        problems.extend(plan::address_problems(&services));
        match problems {
            problems if problems.is_empty() => Ok(services),
            problems => Err(refused(RefusedReason::Invalid, problems.join("; "))),
        }
    }

    async fn start(
        &mut self,
        deployments: &mut Deployments,
        gateway: Option<HostGateway>,
        services: Vec<PlacedService>,
    ) -> Result<StartResult, Outcome> {
        let (context, run) = (self.context.clone(), self.spec.run.clone());
        let logs = self.logs();
        let planner = Planner {
            host: &context.host,
            programs: &context.programs,
            attempt: self.spec.attempt,
            logs: &logs,
            gateway,
            free_cpus: context.free_cpus.as_ref(),
        };
        let planned = planner.plan(&run, &services);
        let start = Instant::now();
        let prepare = Deadline::after(Duration::from_millis(run.deadlines.prepare_ms));
        for one in planned.iter().filter(|one| !one.needs_addresses) {
            let work = one.driver.prepare(&one.deployment);
            self.phase(Stage::Prepare, prepare, work).await?;
        }
        let mut prepared = start.elapsed();
        let idle = self.idle().await?;
        let kernel_log = KernelLog::from_now(kernel_log::DEVICE.as_ref()).ok();
        let ready = Deadline::after(Duration::from_millis(run.deadlines.ready_ms));
        let beside = services.iter().filter(|placed| !placed.place.is_platform());
        let beside = beside.map(|placed| placed.resolved.service.name.clone()).collect();
        for mut one in planned {
            if one.needs_addresses {
                let endpoints = deployments.endpoints();
                one = one
                    .with_addresses(&endpoints, (&beside, gateway))
                    .map_err(|why| Outcome::Failed(Stage::Prepare, why))?;
                let (start, deadline) = (
                    Instant::now(),
                    Deadline::after(Duration::from_millis(run.deadlines.prepare_ms)),
                );
                let work = one.driver.prepare(&one.deployment);
                self.phase(Stage::Prepare, deadline, work).await?;
                prepared += start.elapsed();
            }
            self.start_one(deployments, &one, ready).await?;
        }
        let seeded = self.seed_all(deployments, &services).await?;
        Ok(StartResult {
            prepared,
            seeded,
            idle,
            kernel_log,
            services: services
                .into_iter()
                .filter_map(|placed| placed.resolved.record)
                .map(|record| ServiceRecord {
                    image: deployments.image(&record.service),
                    ..record
                })
                .collect(),
        })
    }

    /// Measures the whole host while nothing of the attempt runs.
    async fn idle(&mut self) -> Result<Option<IdleWindow>, Outcome> {
        let length = Duration::from_millis(self.spec.run.sampling.idle_ms);
        tokio::select! {
            idle = measure_idle("/proc".as_ref(), length) => Ok(idle),
            reason = ended(&mut self.end_rx) => Err(Outcome::Ended(reason, Stage::Start)),
        }
    }

    async fn start_one(
        &mut self,
        deployments: &mut Deployments,
        planned: &PlannedDeployment,
        deadline: Deadline,
    ) -> Result<(), Outcome> {
        let called = Instant::now();
        let work = planned.driver.start(&planned.deployment);
        let running = self.phase(Stage::Start, deadline, work).await?;
        deployments.push(running, called);
        self.first_replies(deployments, &planned.deployment, deadline.left())
            .await
    }

    /// Waits for the first correct reply of every service of the newest deployment; fails at once if a service exits.
    async fn first_replies(
        &mut self,
        deployments: &mut Deployments,
        deployment: &DeploymentSpec,
        timeout: Duration,
    ) -> Result<(), Outcome> {
        let (started, runner) = (deployments.newest(), self.context.host.runner.clone());
        let replies = tokio::select! {
            replies = ready::wait(deployment, &runner, &started, timeout) => match replies {
                Ok(replies) => replies,
                Err(error) => {
                    let where_it_listens = deployments.describe_listeners(&error.service);
                    return Err(Outcome::Failed(Stage::Ready, format!("{error}{where_it_listens}")));
                }
            },
            (service, exit) = deployments.ended() => {
                let why = format!("service {service} exited before its first reply ({})", describe(&exit));
                return Err(Outcome::Failed(Stage::Ready, why));
            }
            reason = ended(&mut self.end_rx) => return Err(Outcome::Ended(reason, Stage::Ready)),
        };
        deployments.replied(replies);
        Ok(())
    }

    /// Seeds the described services, each by its own description, and then all by the RUN's seed; returns how long it took, `None` if there is nothing to
    /// do.
    async fn seed_all(
        &mut self,
        deployments: &mut Deployments,
        services: &[PlacedService],
    ) -> Result<Option<Duration>, Outcome> {
        let (run, start) = (self.spec.run.clone(), Instant::now());
        let deadline = Deadline::after(Duration::from_millis(run.deadlines.seed_ms));
        let mut services = services
            .iter()
            .map(|placed| &placed.resolved.service)
            .filter(|service| seed::is_needed(service));
        let mut is_seeded = run.seed.is_some();
        for service in services.by_ref() {
            is_seeded = true;
            self.seed_one(deployments, service, deadline).await?;
        }
        if let Some(seed) = &run.seed {
            self.seed(deployments, seed).await?;
        }
        Ok(is_seeded.then(|| start.elapsed()))
    }

    async fn seed_one(
        &mut self,
        deployments: &mut Deployments,
        service: &Service,
        deadline: Deadline,
    ) -> Result<(), Outcome> {
        let (host, attempt, logs) = (self.context.host.clone(), self.spec.attempt, self.logs());
        let endpoints = deployments.endpoints();
        let endpoint = endpoints.iter().find(|endpoint| endpoint.service == service.name);
        let seeding = Seeding {
            host: &host,
            attempt,
            service,
            endpoint: endpoint.map(|endpoint| endpoint.address),
            logs: &logs,
        };
        let work = async { Ok(seeding.run().await) };
        let seeding = self.phase(Stage::Seed, deadline, work);
        let failed = |why: String| Outcome::Failed(Stage::Seed, why);
        tokio::select! {
            done = seeding => done?.map_err(failed),
            (service, exit) = deployments.ended() => {
                Err(failed(format!("service {service} exited while it was being seeded ({})", describe(&exit))))
            }
        }
    }

    /// Runs the RUN's seed; returns how long it took.
    async fn seed(&mut self, deployments: &mut Deployments, seed: &SeedSpec) -> Result<Duration, Outcome> {
        let (host, attempt, logs) = (self.context.host.clone(), self.spec.attempt, self.logs());
        let failed = |why: String| Outcome::Failed(Stage::Seed, why);
        let name = SEED.parse().map_err(|_| failed(format!("invalid name {SEED}")))?;
        let args = with_endpoints(&seed.args, deployments);
        let start = Instant::now();
        let seeding = self.phase(
            Stage::Seed,
            Deadline::after(Duration::from_millis(seed.deadline_ms)),
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
