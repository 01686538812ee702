//! A platform's own figures of its services, for comparison with what the sampler measures.

use std::fmt::Debug;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use protocol::sample::{Counters, Subject};

/// A platform that reports figures of its own: a container engine, or the system in a guest.
pub(crate) trait MeterSource: Debug + Send + Sync {
    /// The current figures.
    fn read(&self) -> BoxFuture<'_, Vec<(Subject, Counters)>>;
}

/// Reads a platform's own figures.
#[derive(Clone, Debug)]
pub struct Meter(Arc<dyn MeterSource>);

impl Meter {
    pub(crate) fn new(source: impl MeterSource + 'static) -> Self {
        Self(Arc::new(source))
    }

    /// The current figures. A service for which the platform does not answer is left out.
    pub async fn read(&self) -> Vec<(Subject, Counters)> {
        self.0.read().await
    }
}
