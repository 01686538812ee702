//! Requests to the engine that outlive their caller: a start that was cancelled, and removals from destructors.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::address::Address;
use super::engine;

/// The number of [`Pending`].
static PENDING: AtomicUsize = AtomicUsize::new(0);

/// Polling interval of [`settle`].
const POLL: Duration = Duration::from_millis(10);
/// How long [`settle`] waits at most: an engine can be slow.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Work of this process that has not finished; dropping it means that it has.
#[derive(Debug)]
pub(super) struct Pending(());

impl Pending {
    /// Counts a new piece of work.
    pub(super) fn new() -> Self {
        PENDING.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        PENDING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits until all pending work has finished, so that what is found afterwards is really left over.
pub(super) async fn settle() {
    let until = Instant::now() + SETTLE_TIMEOUT;
    while PENDING.load(Ordering::SeqCst) > 0 && Instant::now() < until {
        sleep(POLL).await;
    }
}

/// Runs a removal from a destructor, and logs what it returns as left. It has a thread with a runtime of its own, because the current runtime may be
/// shutting down. If the program ends first, the next sweep does the work.
pub(super) fn remove(
    address: Address,
    pending: Pending,
    removal: impl AsyncFnOnce(bollard::Docker) -> Vec<String> + Send + 'static,
) {
    std::thread::spawn(move || {
        let _pending = pending;
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            return;
        };
        runtime.block_on(async {
            if let Ok(docker) = engine::connect(&address).await {
                for left in removal(docker).await {
                    tracing::warn!("could not remove {left}");
                }
            }
        });
    });
}
