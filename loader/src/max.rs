//! The closed loop at full speed: every connection sends its next request as soon as the last reply has arrived.

use std::time::Duration;

use super::Engine;
use super::calls::Calls;
use super::control::Control;
use super::error::LoadError;
use super::outcome::Outcome;
use super::part::Part;
use super::target::Target;
use super::users::{Extent, Users, UsersPlan};
use protocol::load::Wait;

/// A closed loop without think time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaxPlan {
    /// Connections, each with one outstanding request.
    pub connections: u32,
    /// Warm-up under the same load before the measurement window.
    pub warm_up: Duration,
    /// The measurement window.
    pub duration: Duration,
    /// Time-out of a request after the last reply on its connection.
    pub timeout: Duration,
    /// `true`: persistent connections; `false`: one connection per request.
    pub keep_alive: bool,
    /// The part of the connections that this machine uses.
    pub part: Part,
    /// CPUs to pin to, one thread each; empty: one thread, not pinned.
    pub cpus: Vec<usize>,
    /// Whether threads sleep while waiting for replies.
    pub wait: Wait,
}

impl MaxPlan {
    /// A plan with persistent connections, a warm-up of 1 s and a time-out of 2 s.
    #[must_use]
    pub fn new(connections: u32, duration: Duration) -> Self {
        Self {
            connections,
            warm_up: Duration::from_secs(1),
            duration,
            timeout: Duration::from_secs(2),
            keep_alive: true,
            part: Part::WHOLE,
            cpus: Vec::new(),
            wait: Wait::Sleep,
        }
    }

    /// The equivalent load of users without think time.
    fn users(&self, calls: Calls) -> UsersPlan {
        let extent = Extent::Window {
            warm_up: self.warm_up,
            duration: self.duration,
        };
        let users = (0..self.connections)
            .map(|user| calls.script(user.into(), None))
            .collect();
        UsersPlan {
            keep_alive: self.keep_alive,
            timeout: self.timeout,
            part: self.part,
            cpus: self.cpus.clone(),
            wait: self.wait,
            tls: calls.tls,
            ..UsersPlan::new(calls.calls, calls.labels, users, extent)
        }
    }
}

/// The engine `max`: users without think time.
#[derive(Debug, Clone)]
pub struct Max(Users);

impl Max {
    /// Checks the plan and builds the engine for a plain GET.
    ///
    /// # Errors
    /// Problems of the plan or the target.
    pub fn new(plan: &MaxPlan, target: &Target) -> Result<Self, LoadError> {
        Self::of_calls(plan, Calls::get(target, plan.keep_alive)?)
    }

    /// Checks the plan and builds the engine for these calls.
    ///
    /// # Errors
    /// Problems of the plan.
    pub fn of_calls(plan: &MaxPlan, calls: Calls) -> Result<Self, LoadError> {
        Users::new(plan.users(calls)).map(Self)
    }
}

impl Engine for Max {
    fn run(&self, control: &Control) -> Result<Outcome, LoadError> {
        self.0.run(control)
    }
}
