//! The services of one deployment, each with an end of its own: what is started, waited for and stopped together.

use std::future::{Future, pending};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::{join_all, select_all};
use protocol::ids::Name;
use protocol::size::Size;
use protocol::summary::{Exit, Teardown};

use crate::{DeployError, Processes, Started, Stopped};

/// What carries one service of a deployment: a unit of processes, a container, a virtual machine. Dropping it kills it.
pub(crate) trait Member: Send {
    /// The service's name.
    fn service(&self) -> &Name;

    /// Where it answers; `None`: nowhere.
    fn endpoint(&self) -> Option<SocketAddr>;

    /// Its first process, as the host numbers it.
    fn pid(&self) -> u32;

    /// When that process existed.
    fn exists_since(&self) -> Instant;

    /// Its processes.
    fn processes(&self) -> Processes;

    /// When its first output came, or that of its guest's console; `None`: silent so far.
    fn first_output(&self) -> Option<Instant>;

    /// What it does not keep of the fairness contract, in words.
    fn deviations(&self) -> &[String] {
        &[]
    }

    /// Whether its end has been told by [`Member::ended`].
    fn is_reported(&self) -> bool;

    /// Waits until it ends by itself. Cancel-safe.
    fn ended(&mut self) -> impl Future<Output = (Name, Exit)> + Send;

    /// Ends it within the grace.
    fn stop(&mut self, grace: Duration) -> impl Future<Output = Gone> + Send;
}

/// The end of a member.
#[derive(Debug)]
pub(crate) struct Gone {
    /// How it ended.
    pub(crate) exit: Exit,
    /// What is left, in words.
    pub(crate) left: Vec<String>,
    /// What it needed on the disk, and what it wrote there.
    pub(crate) sizes: Vec<Size>,
}

/// All members of a deployment.
#[derive(Debug)]
pub(crate) struct Members<M> {
    /// The driver's call.
    from: Instant,
    grace: Duration,
    all: Vec<M>,
    started: Vec<Started>,
}

impl<M: Member> Members<M> {
    /// None yet, of a deployment whose start was asked for then.
    pub(crate) const fn new(from: Instant, grace: Duration) -> Self {
        Self {
            from,
            grace,
            all: Vec::new(),
            started: Vec::new(),
        }
    }

    /// Takes one that has started.
    pub(crate) fn push(&mut self, member: M) {
        self.started.push(Started {
            service: member.service().clone(),
            endpoint: member.endpoint(),
            process_after: member.exists_since().saturating_duration_since(self.from),
            pid: member.pid(),
        });
        self.all.push(member);
    }

    /// Starts them all at once. On error those that did start have been ended.
    ///
    /// # Errors
    /// What the first of them said that could not start.
    pub(crate) async fn start(
        &mut self,
        starting: impl Iterator<Item = impl Future<Output = Result<M, DeployError>>>,
    ) -> Result<(), DeployError> {
        let mut broken = None;
        for started in join_all(starting).await {
            match started {
                Ok(member) => self.push(member),
                Err(error) => broken = broken.or(Some(error)),
            }
        }
        match broken {
            None => Ok(()),
            Some(error) => {
                end(&mut self.all, Duration::ZERO).await;
                Err(error)
            }
        }
    }

    /// As they were started.
    pub(crate) fn started(&self) -> &[Started] {
        &self.started
    }

    /// Each of them.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, M> {
        self.all.iter()
    }

    /// Each of them, to be worked on.
    pub(crate) fn iter_mut(&mut self) -> std::slice::IterMut<'_, M> {
        self.all.iter_mut()
    }

    /// The one that carries a service.
    pub(crate) fn of(&self, service: &Name) -> Option<&M> {
        self.all.iter().find(|member| member.service() == service)
    }

    /// The processes of a service.
    pub(crate) fn processes(&self, service: &Name) -> Processes {
        let member = self.of(service);
        member.map_or_else(|| Processes::Fixed(Vec::new()), Member::processes)
    }

    /// From the driver's call until a service's first output.
    pub(crate) fn first_output(&self, service: &Name) -> Option<Duration> {
        let at = self.of(service)?.first_output()?;
        Some(at.saturating_duration_since(self.from))
    }

    /// What they do not keep of the fairness contract, each thing once.
    pub(crate) fn deviations(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for deviation in self.all.iter().flat_map(Member::deviations) {
            if !all.contains(deviation) {
                all.push(deviation.clone());
            }
        }
        all
    }

    /// Waits until one of them ends by itself that was not reported before; for ever where there is none. Cancel-safe.
    pub(crate) async fn ended(&mut self) -> (Name, Exit) {
        let unreported = self.all.iter_mut().filter(|member| !member.is_reported());
        let waiting: Vec<_> = unreported.map(|member| Box::pin(member.ended())).collect();
        if waiting.is_empty() {
            return pending().await;
        }
        select_all(waiting).await.0
    }

    /// Ends all of them at once, within the deployment's grace.
    pub(crate) async fn stop(&mut self) -> Stopped {
        let ends = end(&mut self.all, self.grace).await;
        let mut stopped = Stopped {
            exits: Vec::new(),
            sizes: Vec::new(),
            teardown: Teardown::default(),
        };
        for (member, gone) in self.all.iter().zip(ends) {
            stopped.exits.push((member.service().clone(), gone.exit));
            stopped.sizes.push((member.service().clone(), gone.sizes));
            stopped.teardown.leftovers.extend(gone.left);
        }
        stopped
    }
}

async fn end(members: &mut [impl Member], grace: Duration) -> Vec<Gone> {
    join_all(members.iter_mut().map(|member| member.stop(grace))).await
}
