//! The loop of a service: take a task, do it, send the result; several at a time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tracing::Instrument;

use super::bus::{Count, Delivery, Inbox, KafkaBus};
use super::handler::{At, Handler};
use super::message::envelope::Head;
use super::message::{Fault, Tasks};

/// How long tasks under way may take to end once the service is asked to.
const GRACE: Duration = Duration::from_secs(2);

/// Does the tasks of a service until `shutdown`, at most `concurrency` at a time, then ends those under way.
///
/// With `concurrency` 1 a task's result is sent before the next task is looked at, as in the thesis.
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
        under_way: FuturesUnordered::new(),
    };
    tokio::pin!(shutdown);
    let background = handler.background();
    tokio::pin!(background);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(place) = worker.under_way.next() => inbox.done(place),
            delivery = inbox.next(), if worker.under_way.len() < concurrency => worker.start(delivery).await,
            () = &mut background => {}
        }
    }
    let _ = tokio::time::timeout(GRACE, worker.finish()).await;
}

type UnderWay<'a> = Pin<Box<dyn Future<Output = (i32, i64)> + 'a>>;

struct Worker<'a, H> {
    handler: &'a H,
    inbox: &'a Inbox,
    bus: &'a Arc<KafkaBus>,
    under_way: FuturesUnordered<UnderWay<'a>>,
}

impl<H: Handler> Worker<'_, H> {
    /// Begins a task, and runs it to its first wait, so that the order of arrival is the order of changes.
    async fn start(&mut self, delivery: Delivery<H::Tasks>) {
        let Delivery {
            head,
            task,
            place,
            replay,
            sent_ms,
        } = delivery;
        let at = At {
            id: head.id,
            trace: head.trace,
            partition: place.0,
        };
        if task.as_ref().is_ok_and(|task| !self.handler.concerns(task)) {
            self.inbox.done(place);
            return;
        }
        if replay {
            if let Ok(task) = task {
                self.handler.replay(at, task);
            }
            self.bus.counts().add(Count::Replayed);
            self.inbox.done(place);
            return;
        }
        let (handler, bus) = (self.handler, self.bus);
        let mut task: UnderWay<'_> = Box::pin(async move {
            let result = attend(handler, at, &head, task, sent_ms).await;
            bus.counts().add(Count::Done);
            bus.answer(&head, result);
            place
        });
        match futures_util::poll!(&mut task) {
            std::task::Poll::Ready(place) => self.inbox.done(place),
            std::task::Poll::Pending => self.under_way.push(task),
        }
    }

    /// Waits for all tasks under way.
    async fn finish(&mut self) {
        while let Some(place) = self.under_way.next().await {
            self.inbox.done(place);
        }
    }
}

/// Does one task, in a span of its own.
async fn attend<H: Handler>(
    handler: &H,
    at: At,
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
        service = H::Tasks::TO.name(),
        task = task.kind(),
        from = head.from.name(),
        id = %at.id,
        trace = %at.trace,
        partition = at.partition,
        queued_ms = queued_ms(sent_ms),
    );
    handler.handle(at, task).instrument(span).await
}

/// How long ago a message was dated, ms; right only where both ends have one clock.
fn queued_ms(sent_ms: Option<i64>) -> Option<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(i64::try_from(now.as_millis()).ok()? - sent_ms?)
}
