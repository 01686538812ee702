//! The interface between a service and the worker that runs it.

use std::future::Future;

use uuid::Uuid;

use super::bus::Recovery;
use super::message::{Fault, Tasks};

/// Metadata of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskContext {
    /// The task id.
    pub id: Uuid,
    /// Id of the originating request.
    pub trace: Uuid,
    /// The partition of the task, and thereby of the state it concerns.
    pub partition: i32,
}

/// A service.
pub trait Handler: 'static {
    /// The tasks of the service.
    type Tasks: Tasks;

    /// How an instance recovers the state of a partition that it takes over.
    const RECOVERY: Recovery;

    /// Whether a task is addressed to this instance; otherwise it is skipped without a result.
    fn accepts(&self, _task: &Self::Tasks) -> bool {
        true
    }

    /// Processes a task. Up to its first await point, tasks run in the order of arrival. Must be idempotent.
    ///
    /// # Errors
    /// The fault that is returned to the sender.
    fn handle(&self, at: TaskContext, task: Self::Tasks) -> impl Future<Output = Outcome<Self>>;

    /// Applies the state changes of a task that was already processed, possibly by another instance.
    fn replay(&self, _at: TaskContext, _task: Self::Tasks) {}

    /// Background work; never returns.
    fn background(&self) -> impl Future<Output = ()> {
        std::future::pending()
    }
}

/// The result of a task.
pub type Outcome<H> = Result<<<H as Handler>::Tasks as Tasks>::Answer, Fault>;
