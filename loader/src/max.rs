//! The closed loop as fast as it goes: so many connections, each with its next request as soon as the last one is answered.

use std::time::Duration;

use super::Engine;
use super::call::{Call, Label};
use super::control::Control;
use super::error::LoadError;
use super::outcome::Outcome;
use super::part::Part;
use super::target::Target;
use super::users::{Extent, Script, Users, UsersPlan};
use protocol::load::Wait;

/// A load of connections that never rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaxPlan {
    /// Connections with a request under way at any time.
    pub connections: u32,
    /// Time under the same load before the measured window.
    pub warm_up: Duration,
    /// The measured window.
    pub duration: Duration,
    /// A request is given up so long after the last reply on its connection.
    pub timeout: Duration,
    /// `true`: connections stay open. `false`: each request opens its own.
    pub keep_alive: bool,
    /// Which of the connections are this machine's.
    pub part: Part,
    /// Cores to pin to, one thread each; empty: one thread that is not pinned.
    pub cpus: Vec<usize>,
    /// Whether threads sleep while they wait for replies.
    pub wait: Wait,
}

impl MaxPlan {
    /// A plan on kept-alive connections, with a warm-up of a second and a time-out of 2 s.
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

    /// The same as a load of users who never think.
    fn users(&self, target: &Target) -> Result<UsersPlan, LoadError> {
        let user = Script {
            calls: vec![0],
            repeat: true,
        };
        let label = Label {
            name: String::new(),
            url: target.url(),
        };
        let extent = Extent::Window {
            warm_up: self.warm_up,
            duration: self.duration,
        };
        let call = Call::of(target, self.keep_alive)?;
        let users = vec![user; usize::try_from(self.connections).unwrap_or(usize::MAX)];
        Ok(UsersPlan {
            keep_alive: self.keep_alive,
            timeout: self.timeout,
            part: self.part,
            cpus: self.cpus.clone(),
            wait: self.wait,
            ..UsersPlan::new(vec![call], vec![label], users, extent)
        })
    }
}

/// The engine `max`: users without think time, who all make the same call.
#[derive(Debug, Clone)]
pub struct Max(Users);

impl Max {
    /// An engine for a plan that makes sense.
    ///
    /// # Errors
    /// What is wrong with the plan or the target.
    pub fn new(plan: &MaxPlan, target: &Target) -> Result<Self, LoadError> {
        Users::new(plan.users(target)?).map(Self)
    }
}

impl Engine for Max {
    fn run(&self, control: &Control) -> Result<Outcome, LoadError> {
        self.0.run(control)
    }
}
