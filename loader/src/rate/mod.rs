//! The open-loop engine: a fixed number of requests a second, whatever the replies do.

mod pace;

use super::Engine;
use super::call::{Call, Label};
use super::control::Control;
use super::error::LoadError;
use super::http::{Setup, share, window};
use super::outcome::Outcome;
use super::plan::{Connections, RatePlan};
use super::target::Target;
use pace::ByRate;

/// The engine `rate`.
#[derive(Debug, Clone)]
pub struct Rate {
    plan: RatePlan,
    target: Target,
}

impl Rate {
    /// An engine for a plan that makes sense.
    ///
    /// # Errors
    /// What is wrong with the plan.
    pub fn new(plan: RatePlan, target: Target) -> Result<Self, LoadError> {
        plan.check()?;
        Ok(Self { plan, target })
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &RatePlan {
        &self.plan
    }

    fn setup(&self) -> Setup {
        let plan = &self.plan;
        Setup {
            cpus: plan.cpus.clone(),
            timeout: plan.timeout,
            spin: plan.spin,
            real_time: plan.real_time,
            wait: plan.wait,
            keeps_alive: plan.keeps_alive(),
            most_connections: plan.most_connections(),
            window: window(plan.warm_up, plan.duration),
            labels: vec![Label {
                name: String::new(),
                url: self.target.url(),
            }],
        }
    }
}

impl Engine for Rate {
    fn run(&self, control: &Control) -> Result<Outcome, LoadError> {
        let call = Call::of(&self.target, self.plan.keeps_alive())?;
        let (setup, threads) = (self.setup(), self.plan.threads());
        setup.run(control, |thread, wire| {
            if let Connections::KeepAlive { pool, .. } = self.plan.connections {
                wire.fill_pool(self.target.address, share(pool.into(), thread, threads));
            }
            ByRate::new(&self.plan, &call, thread)
        })
    }
}
