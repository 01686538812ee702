//! The first half of an attempt: from the proof of the platform to services that answer and are filled.

use std::time::{Duration, Instant};

use deploy::native::run_to_completion;
use deploy::ready;
use deploy::{AnyDriver, Driver, HostGateway};
use protocol::event::{IdleWindow, Refused, RefusedReason, Stage};
use protocol::spec::ServiceSpec;
use protocol::summary::Exit;
use protocol::surroundings::{SEED, SeedSpec};

use super::attempt::{Attempt, Limit, ended};
use super::batches::{Batch, Site, batches};
use super::fleet::Fleet;
use super::idle;
use super::over::Over;
use super::words;
use crate::kernel_log::{self, KernelLog};
use crate::state::Input;
use crate::table::Report;

/// How long a platform may take to say that it cannot be used, before the RUN is accepted all the same and `prepare` has to tell.
const PROBE: Duration = Duration::from_secs(5);

/// What the start took.
#[derive(Debug)]
pub(super) struct Up {
    /// Making the images.
    pub(super) prepared: Duration,
    /// Filling the services.
    pub(super) seeded: Option<Duration>,
    /// The whole host just before the first driver was called.
    pub(super) idle: Option<IdleWindow>,
    /// The kernel's log from then on; `None`: it may not be read.
    pub(super) kernel_log: Option<KernelLog>,
}

impl Attempt {
    /// Brings all services up, into the fleet, whatever comes of it; the door is how its platform reaches the host, as far as that was found out.
    pub(super) async fn bring_up(&mut self, fleet: &mut Fleet) -> (Result<Up, Over>, Option<HostGateway>) {
        let door = match self.open().await {
            Ok(door) => door,
            Err(over) => return (Err(over), None),
        };
        (self.start(fleet, door).await, door)
    }

    /// Proves the platform, takes the order on, and finds out how the platform reaches the host where that is needed.
    async fn open(&mut self) -> Result<Option<HostGateway>, Over> {
        let run = self.order.run.clone();
        let driver = AnyDriver::for_platform(&run.platform, &self.context.host);
        let probed = self
            .phase(Stage::Prepare, Limit::of(PROBE), async { Ok(driver.probe().await) })
            .await;
        let probed = match probed {
            Err(Over::Broken(..)) => None,
            probed => Some(probed?),
        };
        let unmet = probed.and_then(|facts| facts.unmet);
        let unmet = unmet.map(|unmet| format!("{}: {}", unmet.need, unmet.remedy));
        let broker = run.broker.as_ref();
        if let Some(why) = unmet.or_else(|| self.context.programs.missing(broker?.program)) {
            let reason = RefusedReason::Unmet;
            return Err(Over::Refused(Refused { reason, why }));
        }
        self.report(Report::Step(Input::Accepted));
        match broker {
            None => Ok(None),
            Some(_) => {
                self.phase(Stage::Prepare, Limit::of(PROBE), driver.host_gateway())
                    .await
            }
        }
    }

    async fn start(&mut self, fleet: &mut Fleet, door: Option<HostGateway>) -> Result<Up, Over> {
        let (context, run) = (self.context.clone(), self.order.run.clone());
        let logs = self.logs();
        let site = Site {
            host: &context.host,
            programs: &context.programs,
            attempt: self.order.attempt,
            logs: &logs,
            door,
            free_cpus: context.free_cpus.as_ref(),
        };
        let batches = batches(&site, &run);
        let began = Instant::now();
        let prepare = Limit::of(Duration::from_millis(run.deadlines.prepare_ms));
        for batch in &batches {
            let work = batch.driver.prepare(&batch.deployment);
            self.phase(Stage::Prepare, prepare, work).await?;
        }
        let prepared = began.elapsed();
        let idle = self.idle().await?;
        let kernel_log = KernelLog::from_now(kernel_log::DEVICE.as_ref()).ok();
        let ready = Limit::of(Duration::from_millis(run.deadlines.ready_ms));
        for batch in &batches {
            self.start_batch(fleet, batch, ready).await?;
        }
        let seeded = match &run.seed {
            Some(seed) => Some(self.seed(fleet, seed).await?),
            None => None,
        };
        Ok(Up {
            prepared,
            seeded,
            idle,
            kernel_log,
        })
    }

    /// Measures the whole host while nothing of the attempt runs.
    async fn idle(&mut self) -> Result<Option<IdleWindow>, Over> {
        let length = Duration::from_millis(self.order.run.sampling.idle_ms);
        tokio::select! {
            idle = idle::measure("/proc".as_ref(), length) => Ok(idle),
            why = ended(&mut self.ending) => Err(Over::Ended(why, Stage::Start)),
        }
    }

    async fn start_batch(&mut self, fleet: &mut Fleet, batch: &Batch, limit: Limit) -> Result<(), Over> {
        let called = Instant::now();
        let work = batch.driver.start(&batch.deployment);
        let running = self.phase(Stage::Start, limit, work).await?;
        fleet.push(running, called);
        self.replies(fleet, &batch.deployment.services, limit.left()).await
    }

    /// Waits for the first correct reply of every service of the newest deployment; a service that ends meanwhile breaks it at once.
    async fn replies(&mut self, fleet: &mut Fleet, services: &[ServiceSpec], patience: Duration) -> Result<(), Over> {
        let started = fleet.newest();
        let replies = tokio::select! {
            replies = ready::wait(services, &started, patience) => {
                replies.map_err(|error| Over::Broken(Stage::Ready, error.to_string()))?
            }
            (service, exit) = fleet.ended() => {
                let why = format!("service {service} ended before its first reply ({})", words(&exit));
                return Err(Over::Broken(Stage::Ready, why));
            }
            why = ended(&mut self.ending) => return Err(Over::Ended(why, Stage::Ready)),
        };
        fleet.replied(replies);
        Ok(())
    }

    /// Fills the services; says how long it took.
    async fn seed(&mut self, fleet: &mut Fleet, seed: &SeedSpec) -> Result<Duration, Over> {
        let (host, attempt, logs) = (self.context.host.clone(), self.order.attempt, self.logs());
        let broken = |why: String| Over::Broken(Stage::Seed, why);
        let name = SEED.parse().map_err(|_| broken("its name is none".to_owned()))?;
        let args = with_endpoints(&seed.args, fleet);
        let began = Instant::now();
        let filling = self.phase(
            Stage::Seed,
            Limit::of(Duration::from_millis(seed.deadline_ms)),
            run_to_completion(&host, attempt, &name, &args, &logs),
        );
        let exit = tokio::select! {
            exit = filling => exit?,
            (service, exit) = fleet.ended() => {
                let why = format!("service {service} ended while it was filled ({})", words(&exit));
                return Err(broken(why));
            }
        };
        match exit {
            Exit::Code(0) => Ok(began.elapsed()),
            other => Err(broken(format!(
                "filling the services failed ({}): {}",
                words(&other),
                last_line(&logs.join(format!("{SEED}.log")))
            ))),
        }
    }
}

/// `{endpoint:NAME}` becomes the address of that service.
fn with_endpoints(args: &[String], fleet: &Fleet) -> Vec<String> {
    let endpoints = fleet.endpoints();
    let filled = |arg: &String| {
        endpoints.iter().fold(arg.clone(), |arg, endpoint| {
            let place = format!("{{endpoint:{}}}", endpoint.service);
            arg.replace(&place, &endpoint.address.to_string())
        })
    };
    args.iter().map(filled).collect()
}

/// The last line of a file that says something, for people.
fn last_line(path: &std::path::Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    line.unwrap_or("it said nothing").chars().take(500).collect()
}
