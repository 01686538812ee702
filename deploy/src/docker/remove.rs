//! Removes containers and verifies that they are gone.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use protocol::ids::Name;
use protocol::spec::Transport;
use tokio::time::{Instant, sleep};

use super::address::Address;
use super::background::{self, Pending};
use super::engine::{self, engine_error, is_missing};
use super::network::Network;
use super::orphans;
use crate::mark::RUNNER_LABEL;
use crate::{DeployError, network};

/// How long a removal may take: the engine does part of it after its reply.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(15);
/// Polling interval.
const POLL: Duration = Duration::from_millis(20);

/// Kills and removes a container, and waits until the engine does not know it and none of its processes runs. Returns what is left.
pub(super) async fn remove(docker: &bollard::Docker, name: &str) -> Vec<String> {
    let container = engine::inspect(docker, name).await.ok();
    let id = container.and_then(|container| container.id).unwrap_or_default();
    let mut left = remove_from_engine(docker, name).await;
    left.extend(orphans::remove(&id).await);
    left
}

/// Removes a container from its engine. Returns it if the engine still knows it.
async fn remove_from_engine(docker: &bollard::Docker, name: &str) -> Vec<String> {
    let until = Instant::now() + REMOVAL_TIMEOUT;
    loop {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let reply = docker.remove_container(name, Some(options)).await;
        match engine::inspect(docker, name).await {
            Err(error) if is_missing(&error) => return Vec::new(),
            _ if Instant::now() < until => sleep(POLL).await,
            _ => {
                let why = reply
                    .err()
                    .map(|error| format!(" ({})", engine_error(&error)))
                    .unwrap_or_default();
                return vec![format!("container {name}{why}")];
            }
        }
    }
}

/// Waits until a published port is free. Returns it if it is not.
pub(super) async fn wait_for_port(transport: Transport, address: SocketAddr) -> Option<String> {
    let until = Instant::now() + REMOVAL_TIMEOUT;
    while network::is_taken(transport, address) {
        if Instant::now() >= until {
            return Some(format!("port {address}/{transport}"));
        }
        sleep(POLL).await;
    }
    None
}

/// Removes every container of a runner, running or not, after pending work has finished. Returns a line for each.
pub(super) async fn sweep(docker: &bollard::Docker, runner: &Name) -> Result<Vec<String>, DeployError> {
    background::settle().await;
    let filters = HashMap::from([("label", vec![format!("{RUNNER_LABEL}={runner}")])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let containers = engine::retry_unreadable(|| docker.list_containers(Some(options.clone())))
        .await
        .map_err(|error| engine_error(&error))?;
    let mut found = Vec::new();
    for container in containers {
        let id = container.id.unwrap_or_default();
        let names = container.names.unwrap_or_default();
        let name = names.first().map_or(id.as_str(), |name| name.trim_start_matches('/'));
        found.push(format!("removed container {name}"));
        found.extend(
            remove(docker, &id)
                .await
                .into_iter()
                .map(|left| format!("could not remove {left}")),
        );
    }
    Ok(found)
}

/// Removes containers and then their network in the background, from a destructor.
pub(super) fn remove_detached(address: Address, names: Vec<String>, network: Option<Network>, pending: Pending) {
    background::remove(address, pending, async move |docker| {
        let mut left = Vec::new();
        for name in names {
            left.extend(remove(&docker, &name).await);
        }
        if let Some(network) = network {
            left.extend(network.remove_with(&docker).await);
        }
        left
    });
}
