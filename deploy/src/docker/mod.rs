//! `docker`: a service is a container of a Docker engine on this host.
use std::collections::BTreeMap;

use protocol::facts::{PlatformFacts, Unmet};
use protocol::ids::Name;
use protocol::spec::{DockerSpec, PlatformKind};
use protocol::summary::Exit;

use crate::{DeployError, Deployment, Driver, Host, Running, Started, Stopped};

const NEED: &str = "the docker driver of this build";
const REMEDY: &str = "it lands in the next commit of deploy";

/// The driver for containers.
#[derive(Clone, Debug)]
pub struct Docker {}

impl Docker {
    /// A driver for this host.
    #[must_use]
    pub fn new(_spec: &DockerSpec, _host: &Host) -> Self {
        Self {}
    }
}

fn unmet() -> DeployError {
    DeployError::Unmet {
        need: NEED.into(),
        remedy: REMEDY.into(),
    }
}

impl Driver for Docker {
    type Running = DockerRunning;

    async fn probe(&self) -> PlatformFacts {
        let unmet = Some(Unmet {
            need: NEED.into(),
            remedy: REMEDY.into(),
        });
        PlatformFacts {
            kind: PlatformKind::Docker,
            unmet,
            details: BTreeMap::new(),
        }
    }

    async fn prepare(&self, _deployment: &Deployment) -> Result<(), DeployError> {
        Err(unmet())
    }

    async fn start(&self, _deployment: &Deployment) -> Result<DockerRunning, DeployError> {
        Err(unmet())
    }

    async fn sweep(&self) -> Result<Vec<String>, DeployError> {
        Ok(Vec::new())
    }
}

/// No containers yet.
#[derive(Debug)]
pub enum DockerRunning {}

impl Running for DockerRunning {
    fn services(&self) -> &[Started] {
        match *self {}
    }
    fn pids(&self, _service: &Name) -> Vec<u32> {
        match *self {}
    }
    fn deviations(&self) -> Vec<String> {
        match *self {}
    }
    async fn ended(&mut self) -> (Name, Exit) {
        match *self {}
    }
    async fn stop(self) -> Stopped {
        match self {}
    }
}
