//! The services of one deployment, each with an end of its own: what is waited for and stopped together.

use std::future::{Future, pending};
use std::time::Duration;

use futures_util::future::{join_all, select_all};
use protocol::ids::Name;
use protocol::size::Size;
use protocol::summary::{Exit, Teardown};

use crate::Stopped;

/// What carries one service of a deployment: a unit of processes, a container, a virtual machine.
pub(crate) trait Member: Send {
    /// The service's name.
    fn service(&self) -> &Name;

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

/// Waits until one of them ends by itself that was not reported before; for ever where there is none. Cancel-safe.
pub(crate) async fn ended(members: &mut [impl Member]) -> (Name, Exit) {
    let waiting: Vec<_> = members
        .iter_mut()
        .filter(|member| !member.is_reported())
        .map(|member| Box::pin(member.ended()))
        .collect();
    if waiting.is_empty() {
        return pending().await;
    }
    select_all(waiting).await.0
}

/// Ends all of them at once.
pub(crate) async fn stop(members: &mut [impl Member], grace: Duration) -> Stopped {
    let ends = join_all(members.iter_mut().map(|member| member.stop(grace))).await;
    let mut stopped = Stopped {
        exits: Vec::new(),
        sizes: Vec::new(),
        teardown: Teardown::default(),
    };
    for (member, gone) in members.iter().zip(ends) {
        stopped.exits.push((member.service().clone(), gone.exit));
        stopped.sizes.push((member.service().clone(), gone.sizes));
        stopped.teardown.leftovers.extend(gone.left);
    }
    stopped
}
