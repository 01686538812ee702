//! Starts a service from its options, and shuts it down.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::api_gateway::{self, Gateway, health::Probe};
use super::auth_manager::AuthManager;
use super::bus::{BusError, Inbox, KafkaBus};
use super::device_commander::DeviceCommander;
use super::device_gateway::{self, DeviceGateway, simulation::Simulation};
use super::device_monitor::DeviceMonitor;
use super::device_registry::DeviceRegistry;
use super::handler::Handler;
use super::options::{
    ApiGatewayOptions, DeviceGatewayOptions, DeviceMonitorOptions, Options, Part, SeedOptions, ServiceOptions,
};
use super::rule_engine::RuleEngine;
use super::seed::{self, SeedError};
use super::service::Service;
use super::user_registry::UserRegistry;
use super::{http, trace, worker};
use crate::shutdown::Shutdown;

/// How long sent messages may take to be delivered during shutdown.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a Jung service or tool failed.
#[derive(Debug, thiserror::Error)]
pub enum JungError {
    /// Connecting to Kafka failed.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// Binding the listen address failed.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The trace file cannot be written.
    #[error("cannot write the trace to {0}: {1}; choose another file with --trace")]
    Trace(PathBuf, #[source] io::Error),
    /// Filling the platform failed.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// Another operating system call failed.
    #[error("{0}: {1}")]
    System(&'static str, #[source] io::Error),
}

impl JungError {
    /// The exit code: 2 if it failed to start, 1 if it failed later.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Bus(_) | Self::Listen(..) | Self::Trace(..) => 2,
            Self::Seed(_) | Self::System(..) => 1,
        }
    }
}

/// Runs a service until SIGTERM or SIGINT, or a tool until it is done.
///
/// # Errors
/// [`JungError`], which names the cause and the remedy.
pub fn run(options: Options) -> Result<(), JungError> {
    limit_malloc();
    let shutdown =
        Shutdown::by_signal().map_err(|error| JungError::System("failed to install the signal handlers", error))?;
    // A single thread: a service is small and shares its cores with seven others.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .map_err(|error| JungError::System("failed to create the async runtime", error))?;
    runtime.block_on(run_part(options.part, signal(shutdown)))
}

/// Waits for a termination signal. tokio's own signal driver needs Unix sockets, which guests do not have.
#[expect(unsafe_code, reason = "tokio requires that the descriptor stays open")]
async fn signal(shutdown: Shutdown) {
    // SAFETY: the AsyncFd owns the shutdown, which keeps its descriptor open until it is dropped.
    match unsafe { AsyncFd::register_with_interest(shutdown, Interest::READABLE) } {
        Ok(pipe) => drop(pipe.readable().await),
        // Without a way to wait for signals, only SIGKILL ends the service.
        Err(_) => std::future::pending().await,
    }
}

async fn run_part(part: Part, shutdown: impl Future<Output = ()>) -> Result<(), JungError> {
    match part {
        Part::ApiGateway(options) => run_api_gateway(options, shutdown).await,
        Part::AuthManager(options) => {
            let sequential = options.concurrency == 1;
            run_service(&options, Service::AuthManager, shutdown, |bus, _| {
                AuthManager::new(bus, sequential)
            })
            .await
        }
        Part::UserRegistry(options) => {
            run_service(&options, Service::UserRegistry, shutdown, |_, _| {
                UserRegistry::default()
            })
            .await
        }
        Part::DeviceRegistry(options) => {
            run_service(&options, Service::DeviceRegistry, shutdown, |bus, _| {
                DeviceRegistry::new(bus)
            })
            .await
        }
        Part::DeviceMonitor(DeviceMonitorOptions { service, keep }) => {
            let keep = usize::try_from(keep).unwrap_or(usize::MAX);
            run_service(&service, Service::DeviceMonitor, shutdown, |_, _| {
                DeviceMonitor::new(keep)
            })
            .await
        }
        Part::DeviceCommander(options) => {
            run_service(&options, Service::DeviceCommander, shutdown, |bus, _| {
                DeviceCommander::new(bus)
            })
            .await
        }
        Part::RuleEngine(options) => {
            let concurrency = usize::from(options.concurrency);
            let make = |bus, inbox: &Inbox| {
                let ownership = inbox.ownership();
                RuleEngine::new(bus, concurrency, move |partition| ownership.of(partition))
            };
            run_service(&options, Service::RuleEngine, shutdown, make).await
        }
        Part::DeviceGateway(options) => run_device_gateway(options, shutdown).await,
        Part::Seed(options) => fill(&options).await,
    }
}

/// Runs a service whose consumer group has its own name.
async fn run_service<H: Handler>(
    options: &ServiceOptions,
    service: Service,
    shutdown: impl Future<Output = ()>,
    make: impl FnOnce(Arc<KafkaBus>, &Inbox) -> H,
) -> Result<(), JungError> {
    run_group(options, service, service.name(), shutdown, make).await
}

/// Runs a service whose tasks are shared by the members of `group`.
async fn run_group<H: Handler>(
    options: &ServiceOptions,
    service: Service,
    group: &str,
    shutdown: impl Future<Output = ()>,
    make: impl FnOnce(Arc<KafkaBus>, &Inbox) -> H,
) -> Result<(), JungError> {
    let bus = connect(options, service).await?;
    let inbox = Inbox::join(bus.settings(), group, H::RECOVERY, Arc::clone(bus.counts()))?;
    let handler = make(Arc::clone(&bus), &inbox);
    worker::run(&handler, &inbox, &bus, usize::from(options.concurrency), shutdown).await;
    // Leaving the group releases its partitions immediately.
    drop(inbox);
    finish(&bus);
    Ok(())
}

async fn run_api_gateway(options: ApiGatewayOptions, shutdown: impl Future<Output = ()>) -> Result<(), JungError> {
    let ApiGatewayOptions {
        service,
        listen,
        device_gateway,
    } = options;
    let listener = http::listen(listen).map_err(|error| JungError::Listen(listen, error))?;
    let bus = connect(&service, Service::ApiGateway).await?;
    let gateway = Gateway {
        bus: Arc::clone(&bus),
        counts: Arc::clone(bus.counts()),
        probe: Probe::new(bus.layout().clone()),
        device_gateway,
    };
    http::serve(listener, api_gateway::router(Arc::new(gateway)), shutdown).await;
    finish(&bus);
    Ok(())
}

async fn run_device_gateway(
    options: DeviceGatewayOptions,
    shutdown: impl Future<Output = ()>,
) -> Result<(), JungError> {
    let DeviceGatewayOptions { service, name, listen } = options;
    let listener = http::listen(listen).map_err(|error| JungError::Listen(listen, error))?;
    let simulation = Arc::new(Mutex::new(Simulation::default()));
    let admin = device_gateway::admin::router(Arc::clone(&simulation));
    tokio::spawn(http::serve(listener, admin, std::future::pending()));
    // Every gateway has its own group because it must see all tasks of its devices.
    let group = format!("{}-{name}", Service::DeviceGateway);
    let make = |bus, _: &Inbox| DeviceGateway::new(bus, name, simulation);
    run_group(&service, Service::DeviceGateway, &group, shutdown, make).await
}

async fn fill(options: &SeedOptions) -> Result<(), JungError> {
    let amounts = options.amounts;
    let took = seed::seed(options.gateway, amounts).await?;
    println!(
        "created {} users, {} devices, {} rules and {} readings each in {:.2} s",
        amounts.users,
        amounts.devices,
        amounts.rules,
        amounts.readings,
        took.as_secs_f64()
    );
    Ok(())
}

async fn connect(options: &ServiceOptions, service: Service) -> Result<Arc<KafkaBus>, JungError> {
    if let Some(path) = &options.trace {
        trace::to_file(path).map_err(|error| JungError::Trace(path.clone(), error))?;
    }
    let (bus, receiver) = KafkaBus::connect(options.settings(service)).await?;
    tokio::spawn(receiver.run());
    Ok(bus)
}

/// Flushes the last results and prints the counters to stderr.
fn finish(bus: &KafkaBus) {
    bus.flush(FLUSH_TIMEOUT);
    trace::flush();
    let counts = serde_json::to_string(&bus.counts().snapshot()).unwrap_or_default();
    eprintln!("workload: {}: {counts}", bus.settings().service);
}

/// Limits glibc to a single malloc arena. One arena for each of librdkafka's dozen threads would use more memory than
/// the service itself.
#[expect(unsafe_code, reason = "mallopt has no safe form")]
fn limit_malloc() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt only sets a parameter, and no other thread is running yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 128 * 1024);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 * 1024);
    }
}
