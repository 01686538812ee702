//! The main loop of a service: receive tasks, process several concurrently, send their results.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tracing::Instrument;

use super::bus::{Count, Delivery, Inbox, KafkaBus};
use super::handler::{Handler, TaskContext};
use super::message::envelope::Head;
use super::message::{Fault, Tasks};

/// How long tasks in flight may take during shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// Processes the tasks of a service until `shutdown`, at most `concurrency` at a time, then finishes those in flight.
///
/// With `concurrency` 1 a task's result is sent before the next task is received, as in the thesis.
pub async fn run<H: Handler>(
    handler: &H,
    inbox: &Inbox,
    bus: &Arc<KafkaBus>,
    concurrency: usize,
    shutdown: impl Future<Output = ()>,
) {
    let mut worker = Worker {
        handler,
        inbox,
        bus,
        in_flight: FuturesUnordered::new(),
    };
    tokio::pin!(shutdown);
    let background = handler.background();
    tokio::pin!(background);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(position) = worker.in_flight.next() => inbox.mark_done(position),
            delivery = inbox.next(), if worker.in_flight.len() < concurrency => worker.start(delivery).await,
            () = &mut background => {}
        }
    }
    let _ = tokio::time::timeout(SHUTDOWN_GRACE, worker.finish()).await;
}

type InFlight<'a> = Pin<Box<dyn Future<Output = (i32, i64)> + 'a>>;

struct Worker<'a, H> {
    handler: &'a H,
    inbox: &'a Inbox,
    bus: &'a Arc<KafkaBus>,
    in_flight: FuturesUnordered<InFlight<'a>>,
}

impl<H: Handler> Worker<'_, H> {
    /// Starts a task and runs it to its first await point, so that state changes happen in the order of arrival.
    async fn start(&mut self, delivery: Delivery<H::Tasks>) {
        let Delivery {
            head,
            task,
            position,
            replay,
            sent_ms,
        } = delivery;
        let at = TaskContext {
            id: head.id,
            trace: head.trace,
            partition: position.0,
        };
        if task.as_ref().is_ok_and(|task| !self.handler.accepts(task)) {
            self.inbox.mark_done(position);
            return;
        }
        if replay {
            if let Ok(task) = task {
                self.handler.replay(at, task);
            }
            self.bus.counts().add(Count::Replayed);
            self.inbox.mark_done(position);
            return;
        }
        let (handler, bus) = (self.handler, self.bus);
        let mut task: InFlight<'_> = Box::pin(async move {
            let result = process(handler, at, &head, task, sent_ms).await;
            bus.counts().add(Count::Processed);
            bus.send_result(&head, result);
            position
        });
        match futures_util::poll!(&mut task) {
            std::task::Poll::Ready(position) => self.inbox.mark_done(position),
            std::task::Poll::Pending => self.in_flight.push(task),
        }
    }

    /// Waits for all tasks in flight.
    async fn finish(&mut self) {
        while let Some(position) = self.in_flight.next().await {
            self.inbox.mark_done(position);
        }
    }
}

/// Processes a task in its own span.
async fn process<H: Handler>(
    handler: &H,
    at: TaskContext,
    head: &Head,
    task: Result<H::Tasks, Fault>,
    sent_ms: Option<i64>,
) -> super::handler::Outcome<H> {
    let task = task?;
    if let Some(pong) = task.pong() {
        return Ok(pong);
    }
    let span = tracing::info_span!(
        "task",
        service = H::Tasks::SERVICE.name(),
        task = task.kind(),
        from = head.from.name(),
        id = %at.id,
        trace = %at.trace,
        partition = at.partition,
        queued_ms = queued_ms(sent_ms),
    );
    handler.handle(at, task).instrument(span).await
}

/// Age of a message in ms. Correct only if sender and receiver share a clock.
fn queued_ms(sent_ms: Option<i64>) -> Option<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(i64::try_from(now.as_millis()).ok()? - sent_ms?)
}
