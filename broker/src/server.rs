//! Startup, accepting connections, maintenance, shutdown.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::config::{BoundListener, Config, FsyncPolicy, Listener};
use crate::connection::Connection;
use crate::error::StartError;
use crate::node::Node;
use crate::wire::FrameReader;

/// How often groups are checked for expired sessions and rebalances.
const TICK: Duration = Duration::from_millis(50);
/// How long `stop` waits for connections to finish their current request.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// A running broker. Dropping it aborts it; [`stop`](Broker::stop) shuts down gracefully and syncs to disk.
#[derive(Debug)]
pub struct Broker {
    node: Arc<Node>,
    addresses: Vec<SocketAddr>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    handles: Vec<JoinHandle<()>>,
}

impl Broker {
    /// Loads the data directory and starts listening; returns once clients can connect.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        validate(&config)?;
        let listeners = bind_all(&config.listeners).await?;
        let loaded = spawn_blocking(move || Node::load(config)).await;
        let node = Arc::new(loaded.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?);
        let mut broker = Broker {
            node,
            addresses: listeners.iter().map(|(_, listener)| listener.bound).collect(),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
            handles: Vec::new(),
        };
        broker.log_startup();
        broker.spawn_acceptors(listeners);
        broker.spawn_maintenance();
        Ok(broker)
    }

    /// The bound addresses, in the order of the configuration.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.clone()
    }

    /// Closes every connection, syncs everything to disk and releases the data directory.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        self.tasks.close();
        if tokio::time::timeout(SHUTDOWN_GRACE, self.tasks.wait()).await.is_err() {
            self.handles.iter().for_each(JoinHandle::abort);
        }
        for handle in self.handles.drain(..) {
            let _aborted = handle.await;
        }
        let node = Arc::clone(&self.node);
        let _joined = spawn_blocking(move || node.sync()).await;
        info!("broker stopped");
    }

    fn log_startup(&self) {
        let config = &self.node.config;
        info!(
            addresses = ?self.addresses, data = %config.data.display(), fsync = ?config.fsync,
            topics = self.node.topics.all().len(),
            "broker started (single node, for one machine and for tests; use Apache Kafka for a lab)"
        );
    }

    fn spawn_acceptors(&mut self, listeners: Vec<(TcpListener, Arc<BoundListener>)>) {
        let limit = self.node.config.memory_limit;
        let slots = Arc::new(Semaphore::new(limit.connections));
        let frames = FrameReader::new(self.node.config.max_frame, limit.request_bytes);
        for (socket, listener) in listeners {
            let acceptor = Acceptor {
                node: Arc::clone(&self.node),
                listener,
                frames: frames.clone(),
                slots: Arc::clone(&slots),
                shutdown: self.shutdown.clone(),
                tasks: self.tasks.clone(),
            };
            self.handles.push(self.tasks.spawn(acceptor.run(socket)));
        }
    }

    fn spawn_maintenance(&mut self) {
        let node = Arc::clone(&self.node);
        self.spawn_periodic(TICK, move || node.groups.tick(Instant::now()));
        let node = Arc::clone(&self.node);
        let config = &self.node.config;
        let interval = config
            .retention
            .age
            .map_or(config.retention_interval, |age| age.min(config.retention_interval));
        self.spawn_periodic(interval, move || node.apply_retention());
        if let FsyncPolicy::Interval(interval) = self.node.config.fsync {
            let node = Arc::clone(&self.node);
            self.spawn_periodic(interval, move || node.sync());
        }
    }

    /// Runs a blocking function periodically until the broker stops.
    fn spawn_periodic(&mut self, period: Duration, work: impl Fn() + Send + Sync + 'static) {
        let (shutdown, work) = (self.shutdown.clone(), Arc::new(work));
        self.handles.push(self.tasks.spawn(async move {
            while shutdown
                .run_until_cancelled(tokio::time::sleep(period.max(TICK)))
                .await
                .is_some()
            {
                let work = Arc::clone(&work);
                let _joined = spawn_blocking(move || work()).await;
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

fn validate(config: &Config) -> Result<(), StartError> {
    let minimums = [
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
    match minimums.into_iter().find(|&(_, value, minimum)| value < minimum) {
        Some((key, value, minimum)) => Err(StartError::TooSmall { key, value, minimum }),
        None if config.listeners.is_empty() => Err(StartError::NoListener),
        None => Ok(()),
    }
}

async fn bind_all(listeners: &[Listener]) -> Result<Vec<(TcpListener, Arc<BoundListener>)>, StartError> {
    let mut bound = Vec::new();
    for listener in listeners {
        let bind = listener.bind;
        let failed = |reason| StartError::Listen { bind, reason };
        let socket = TcpListener::bind(bind).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        bound.push((socket, Arc::new(listener.bound_to(address)?)));
    }
    Ok(bound)
}

struct Acceptor {
    node: Arc<Node>,
    listener: Arc<BoundListener>,
    frames: FrameReader,
    slots: Arc<Semaphore>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Acceptor {
    async fn run(self, socket: TcpListener) {
        while let Some(accepted) = self.shutdown.run_until_cancelled(socket.accept()).await {
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(TICK).await;
                    continue;
                }
            };
            let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
                warn!(%peer, "connection closed: limit memory_limit.connections reached");
                continue;
            };
            let connection = Connection {
                node: Arc::clone(&self.node),
                listener: Arc::clone(&self.listener),
                frames: self.frames.clone(),
                peer,
            };
            let shutdown = self.shutdown.clone();
            self.tasks.spawn(async move {
                let _slot = slot;
                let _cancelled = shutdown.run_until_cancelled(connection.serve(stream)).await;
            });
        }
    }
}
