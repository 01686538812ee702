//! `fake`: a complete driver for tests that starts no process.
//!
//! It needs nothing, but its endpoint is real: a loopback listener that sends the reply that the service's probe expects, so a load can be run against it.
//! It fails where its [`FakeSpec`] says.

mod server;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use protocol::facts::{PlatformFacts, Unmet};
use protocol::ids::Name;
use protocol::spec::{FakeFailure, FakeSpec, PlatformKind, Resources};
use protocol::summary::Exit;

use crate::deployment::{Instance, InstanceStopped, Shared, Started};
use crate::{DeployError, Deployment, DeploymentSpec, Driver, Processes, network};

use server::{Behaviour, Server};

/// The fake driver.
#[derive(Clone, Debug, Default)]
pub struct Fake {
    spec: FakeSpec,
}

impl Fake {
    /// A driver that behaves as `spec` says.
    #[must_use]
    pub fn new(spec: &FakeSpec) -> Self {
        Self { spec: spec.clone() }
    }

    fn unmet(&self) -> Option<Unmet> {
        (self.spec.fail == Some(FakeFailure::Probe)).then(|| Unmet {
            need: "the fake platform is told to be unusable".into(),
            remedy: "remove the key `fail`".into(),
        })
    }

    fn refusal(message: &str) -> DeployError {
        DeployError::Platform {
            platform: "fake",
            message: message.into(),
        }
    }
}

impl Driver for Fake {
    async fn probe(&self) -> PlatformFacts {
        let details = BTreeMap::from([("start_ms".into(), self.spec.start_ms.to_string())]);
        PlatformFacts {
            kind: PlatformKind::Fake,
            unmet: self.unmet(),
            details,
        }
    }

    async fn prepare(&self, _spec: &DeploymentSpec) -> Result<(), DeployError> {
        match self.unmet() {
            Some(Unmet { need, remedy }) => Err(DeployError::Unmet { need, remedy }),
            None if self.spec.fail == Some(FakeFailure::Prepare) => Err(Self::refusal("told to fail at prepare")),
            None => Ok(()),
        }
    }

    async fn start(&self, spec: &DeploymentSpec) -> Result<Deployment, DeployError> {
        let called = Instant::now();
        tokio::time::sleep(Duration::from_millis(self.spec.start_ms)).await;
        if self.spec.fail == Some(FakeFailure::Start) {
            return Err(Self::refusal("told to fail at start"));
        }
        let behaviour = match self.spec.fail {
            Some(FakeFailure::Ready) => Behaviour::Silent,
            Some(FakeFailure::Exit) => Behaviour::Dying,
            _ => Behaviour::Correct,
        };
        let mut services = Vec::new();
        for service in &spec.services {
            let server = Server::start(service, behaviour, &spec.logs).await?;
            services.push(FakeService {
                name: service.name.clone(),
                endpoint: service.port.map(|_| server.address()),
                exists_since: Instant::now(),
                server,
                exit: None,
            });
        }
        let is_limited = spec.resources != Resources::default();
        let deviations = is_limited.then(|| "the fake platform enforces no limits".to_owned());
        let deployment =
            Deployment::new(called, spec.grace, services).with_deviations(deviations.into_iter().collect());
        Ok(if self.spec.fail == Some(FakeFailure::Teardown) {
            deployment.with_shared(Leftover)
        } else {
            deployment
        })
    }

    async fn sweep(&self) -> Result<Vec<String>, DeployError> {
        // Everything it creates lives in this process and ends with it.
        Ok(Vec::new())
    }
}

/// A fake service. Dropping it closes its sockets.
#[derive(Debug)]
struct FakeService {
    name: Name,
    endpoint: Option<SocketAddr>,
    exists_since: Instant,
    server: Server,
    /// Set when it has died by itself.
    exit: Option<Exit>,
}

impl Instance for FakeService {
    /// With the PID of this process: there is no other.
    fn started(&self, called: Instant) -> Started {
        Started {
            service: self.name.clone(),
            endpoint: self.endpoint,
            process_after: self.exists_since.saturating_duration_since(called),
            pid: std::process::id(),
        }
    }

    fn processes(&self) -> Processes {
        Processes::Fixed(match self.exit {
            None => vec![std::process::id()],
            Some(_) => Vec::new(),
        })
    }

    fn first_output(&self) -> Option<Instant> {
        None
    }

    fn ended(&mut self) -> BoxFuture<'_, Exit> {
        Box::pin(async {
            self.server.died().await;
            self.exit = Some(Exit::Code(1));
            Exit::Code(1)
        })
    }

    fn stop(&mut self, _grace: Duration) -> BoxFuture<'_, InstanceStopped> {
        Box::pin(async {
            let exit = match self.exit.take() {
                Some(exit) => exit,
                None => {
                    self.server.stop().await;
                    Exit::Code(0)
                }
            };
            let address = self.server.address();
            let is_listening = network::is_taken(self.server.transport(), address);
            InstanceStopped {
                exit,
                leftovers: is_listening
                    .then(|| format!("port {address} of {}", self.name))
                    .into_iter()
                    .collect(),
                sizes: Vec::new(),
            }
        })
    }
}

/// What the fake driver leaves behind if it is told to.
#[derive(Debug)]
struct Leftover;

impl Shared for Leftover {
    fn remove(&mut self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(async { vec!["something that the fake platform is told to leave behind".into()] })
    }
}
