//! Work with the engine that nobody waits for any more: a start that was given up, a removal out of a destructor.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

static WORKS: AtomicUsize = AtomicUsize::new(0);

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(10);
/// How long such work is waited for; an engine may take its time.
const PATIENCE: Duration = Duration::from_secs(30);

/// One work of this program, until it is dropped.
#[derive(Debug)]
pub(super) struct Unfinished(());

impl Unfinished {
    /// Begins a work.
    pub(super) fn begin() -> Self {
        WORKS.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        WORKS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits until all of it is done, so that whoever looks afterwards sees what is really left.
pub(super) async fn settle() {
    let until = Instant::now() + PATIENCE;
    while WORKS.load(Ordering::SeqCst) > 0 && Instant::now() < until {
        sleep(LOOK).await;
    }
}
