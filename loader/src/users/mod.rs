//! The closed loop: so many users, each of whom sends its next request when the last one is answered and its think time is over.

mod pace;
mod plan;

use super::Engine;
use super::control::Control;
use super::error::LoadError;
use super::http::Setup;
use super::outcome::Outcome;
use pace::ByUsers;
pub use plan::{Extent, Script, Think, UsersPlan, most_connections};

/// The engine `users`.
#[derive(Debug, Clone)]
pub struct Users {
    plan: UsersPlan,
}

impl Users {
    /// An engine for a plan that makes sense.
    ///
    /// # Errors
    /// What is wrong with the plan.
    pub fn new(plan: UsersPlan) -> Result<Self, LoadError> {
        plan.check()?;
        Ok(Self { plan })
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &UsersPlan {
        &self.plan
    }

    fn setup(&self) -> Setup {
        let plan = &self.plan;
        Setup {
            cpus: plan.cpus.clone(),
            timeout: plan.timeout,
            spin: plan.spin,
            real_time: false,
            wait: plan.wait,
            keeps_alive: plan.keep_alive,
            most_connections: plan.most_connections(),
            window: plan.window(),
            labels: plan.labels.clone(),
        }
    }
}

impl Engine for Users {
    fn run(&self, control: &Control) -> Result<Outcome, LoadError> {
        let setup = self.setup();
        setup.run(control, |thread, _| ByUsers::new(&self.plan, thread))
    }
}
