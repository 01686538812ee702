//! Starting, listening, housekeeping, stopping.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::config::{Config, FsyncPolicy, Listener};
use crate::connection::{Connection, Origin};
use crate::error::StartError;
use crate::node::Node;
use crate::wire::FrameReader;

/// How often groups are asked whether a session or a rebalance is over.
const TICK: Duration = Duration::from_millis(50);
/// How often retention is applied.
const RETENTION_EVERY: Duration = Duration::from_secs(30);
/// How long `stop` waits for connections to finish what they are at.
const GRACE: Duration = Duration::from_secs(2);

/// A running broker. Dropping it stops it at once; [`stop`](Broker::stop) also flushes.
#[derive(Debug)]
pub struct Broker {
    node: Arc<Node>,
    addresses: Vec<SocketAddr>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    handles: Vec<JoinHandle<()>>,
}

impl Broker {
    /// Loads the data folder and listens; returns once clients can connect.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        check(&config)?;
        let listeners = bind_all(&config.listeners).await?;
        let loading = spawn_blocking(move || Node::load(config)).await;
        let node = Arc::new(loading.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?);
        let mut broker = Broker {
            node,
            addresses: listeners.iter().map(|(_, origin)| origin.bound).collect(),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
            handles: Vec::new(),
        };
        broker.say_hello();
        broker.listen(listeners);
        broker.keep_house();
        Ok(broker)
    }

    /// The addresses really bound, in the order of the configuration.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.clone()
    }

    /// Closes every connection, forces everything written to the disk, and lets go of the data folder.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        self.tasks.close();
        if tokio::time::timeout(GRACE, self.tasks.wait()).await.is_err() {
            self.handles.iter().for_each(JoinHandle::abort);
        }
        for handle in self.handles.drain(..) {
            let _aborted = handle.await;
        }
        let node = Arc::clone(&self.node);
        let _done = spawn_blocking(move || node.force()).await;
        info!("broker stopped");
    }

    fn say_hello(&self) {
        let config = &self.node.config;
        info!(
            addresses = ?self.addresses, data = %config.data.display(), fsync = ?config.fsync,
            topics = self.node.topics.all().len(),
            "single-node broker for one machine and for tests; for a lab use Apache Kafka"
        );
    }

    fn listen(&mut self, listeners: Vec<(TcpListener, Arc<Origin>)>) {
        let limit = self.node.config.memory_limit;
        let slots = Arc::new(Semaphore::new(limit.connections));
        let frames = FrameReader::new(self.node.config.max_frame, limit.request_bytes);
        for (listener, origin) in listeners {
            let connections = Acceptor {
                node: Arc::clone(&self.node),
                origin,
                frames: frames.clone(),
                slots: Arc::clone(&slots),
                shutdown: self.shutdown.clone(),
                tasks: self.tasks.clone(),
            };
            self.handles.push(self.tasks.spawn(connections.run(listener)));
        }
    }

    fn keep_house(&mut self) {
        let node = Arc::clone(&self.node);
        self.every(TICK, move || node.groups.tick(Instant::now()));
        let node = Arc::clone(&self.node);
        self.every(
            RETENTION_EVERY.min(self.node.config.retention.age.unwrap_or(RETENTION_EVERY)),
            move || {
                node.retain();
            },
        );
        if let FsyncPolicy::Interval(interval) = self.node.config.fsync {
            let node = Arc::clone(&self.node);
            self.every(interval, move || node.force());
        }
    }

    /// Runs a blocking chore again and again until the broker stops.
    fn every(&mut self, period: Duration, chore: impl Fn() + Send + Sync + 'static) {
        let (shutdown, chore) = (self.shutdown.clone(), Arc::new(chore));
        self.handles.push(self.tasks.spawn(async move {
            while shutdown
                .run_until_cancelled(tokio::time::sleep(period.max(TICK)))
                .await
                .is_some()
            {
                let chore = Arc::clone(&chore);
                let _done = spawn_blocking(move || chore()).await;
            }
        }));
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.handles.iter().for_each(JoinHandle::abort);
    }
}

fn check(config: &Config) -> Result<(), StartError> {
    let least = [
        ("max_frame", config.max_frame, 1024),
        ("max_batch", config.max_batch, 1024),
        (
            "memory_limit.request_bytes",
            config.memory_limit.request_bytes,
            config.max_frame,
        ),
        (
            "memory_limit.fetch_bytes",
            config.memory_limit.fetch_bytes,
            config.max_batch,
        ),
        ("memory_limit.connections", config.memory_limit.connections, 1),
    ];
    match least.into_iter().find(|&(_, value, least)| value < least) {
        Some((key, value, least)) => Err(StartError::TooSmall { key, value, least }),
        None if config.listeners.is_empty() => Err(StartError::NoListener),
        None => Ok(()),
    }
}

async fn bind_all(listeners: &[Listener]) -> Result<Vec<(TcpListener, Arc<Origin>)>, StartError> {
    let mut bound = Vec::new();
    for Listener { bind, advertise } in listeners {
        let failed = |reason| StartError::Listen { bind: *bind, reason };
        let listener = TcpListener::bind(bind).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        bound.push((listener, Arc::new(Origin::new(address, advertise.as_deref())?)));
    }
    Ok(bound)
}

struct Acceptor {
    node: Arc<Node>,
    origin: Arc<Origin>,
    frames: FrameReader,
    slots: Arc<Semaphore>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Acceptor {
    async fn run(self, listener: TcpListener) {
        while let Some(accepted) = self.shutdown.run_until_cancelled(listener.accept()).await {
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(problem) => {
                    warn!(%problem, "connection not accepted");
                    tokio::time::sleep(TICK).await;
                    continue;
                }
            };
            let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
                warn!(%peer, "connection closed: memory_limit.connections is reached");
                continue;
            };
            let connection = Connection {
                node: Arc::clone(&self.node),
                origin: Arc::clone(&self.origin),
                frames: self.frames.clone(),
                peer,
            };
            let shutdown = self.shutdown.clone();
            self.tasks.spawn(async move {
                let _slot = slot;
                let _stopped = shutdown.run_until_cancelled(connection.serve(stream)).await;
            });
        }
    }
}
