//! `fake`: a complete driver for tests that starts no process.
//!
//! It needs nothing, but its endpoint is real: a loopback listener that sends the reply that the service's probe expects, so a load can be run against it.
//! It fails where its [`FakeSpec`](protocol::spec::FakeSpec) says.

mod packets;
mod running;
mod server;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use protocol::facts::{PlatformFacts, Unmet};
use protocol::spec::{FakeFailure, FakeSpec, PlatformKind};

use crate::{DeployError, Deployment, Driver, network};

pub use running::FakeRunning;
use server::{Manner, Server};

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
    type Running = FakeRunning;

    async fn probe(&self) -> PlatformFacts {
        let details = BTreeMap::from([("start_ms".into(), self.spec.start_ms.to_string())]);
        PlatformFacts {
            kind: PlatformKind::Fake,
            unmet: self.unmet(),
            details,
        }
    }

    async fn prepare(&self, _deployment: &Deployment) -> Result<(), DeployError> {
        match self.unmet() {
            Some(Unmet { need, remedy }) => Err(DeployError::Unmet { need, remedy }),
            None if self.spec.fail == Some(FakeFailure::Prepare) => Err(Self::refusal("told to fail at prepare")),
            None => Ok(()),
        }
    }

    async fn start(&self, deployment: &Deployment) -> Result<FakeRunning, DeployError> {
        let from = Instant::now();
        tokio::time::sleep(Duration::from_millis(self.spec.start_ms)).await;
        if self.spec.fail == Some(FakeFailure::Start) {
            return Err(Self::refusal("told to fail at start"));
        }
        let manner = match self.spec.fail {
            Some(FakeFailure::Ready) => Manner::Silent,
            Some(FakeFailure::Exit) => Manner::Dying,
            _ => Manner::Correct,
        };
        let mut running = FakeRunning::new(self.spec.fail == Some(FakeFailure::Teardown), &deployment.resources);
        for service in &deployment.services {
            let server = Server::start(service, manner, &deployment.logs).await?;
            running.push(service, server, from.elapsed());
        }
        Ok(running)
    }

    async fn sweep(&self) -> Result<Vec<String>, DeployError> {
        // Everything it creates lives in this process and ends with it.
        Ok(Vec::new())
    }
}

/// Whether nothing listens any more where a fake service did.
fn is_gone(server: &Server) -> bool {
    !network::is_taken(server.transport(), server.address())
}
