//! What a service is to the loop that runs it.

use std::future::Future;

use uuid::Uuid;

use super::bus::Memory;
use super::message::{Fault, Tasks};

/// Circumstances of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The task's own identity.
    pub id: Uuid,
    /// The request that it follows from.
    pub trace: Uuid,
    /// The partition it came by, which says whose state it is about.
    pub partition: i32,
}

/// A service: what it does with tasks, and by itself.
pub trait Handler: 'static {
    /// Its tasks.
    type Tasks: Tasks;

    /// What it has to know when it takes over a partition.
    const MEMORY: Memory;

    /// Whether a task is meant for this instance at all; one that is not is left to another, unanswered.
    fn concerns(&self, _task: &Self::Tasks) -> bool {
        true
    }

    /// Does a task. Up to the first wait, tasks run in the order they came; doing one twice must do no harm.
    ///
    /// # Errors
    /// The fault that its sender is answered.
    fn handle(&self, at: At, task: Self::Tasks) -> impl Future<Output = Outcome<Self>>;

    /// Takes over the changes of a task that was done before, perhaps by another instance.
    fn replay(&self, _at: At, _task: Self::Tasks) {}

    /// What it does by itself, for ever.
    fn background(&self) -> impl Future<Output = ()> {
        std::future::pending()
    }
}

/// What a task of a service ends in.
pub type Outcome<H> = Result<<<H as Handler>::Tasks as Tasks>::Answer, Fault>;
