//! Taking containers away, and looking whether they are gone.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use protocol::ids::Name;
use protocol::spec::Transport;
use tokio::time::{Instant, sleep};

use super::address::Address;
use super::engine::{self, is_missing, said};
use super::network::Network;
use super::strays;
use super::unfinished::{self, Unfinished};
use crate::mark::RUNNER_LABEL;
use crate::{DeployError, network};

/// How long a removal may take: the engine does some of it after its answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(20);

/// Removes a container with force, looks until neither the engine knows it nor a process of it runs any more, and says what is left.
pub(super) async fn remove(docker: &bollard::Docker, name: &str) -> Vec<String> {
    let known = engine::inspect(docker, name).await.ok();
    let id = known.and_then(|container| container.id).unwrap_or_default();
    let mut left = forget(docker, name).await;
    left.extend(strays::end(&id).await);
    left
}

/// Removes a container from its engine, and says if that still knows it.
async fn forget(docker: &bollard::Docker, name: &str) -> Vec<String> {
    let until = Instant::now() + PATIENCE;
    loop {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let asked = docker.remove_container(name, Some(options)).await;
        match engine::inspect(docker, name).await {
            Err(error) if is_missing(&error) => return Vec::new(),
            _ if Instant::now() < until => sleep(LOOK).await,
            _ => {
                let why = asked
                    .err()
                    .map(|error| format!(" ({})", said(&error)))
                    .unwrap_or_default();
                return vec![format!("container {name}{why}")];
            }
        }
    }
}

/// Waits until a published port is free again, and says if it is not.
pub(super) async fn wait_for_port(transport: Transport, address: SocketAddr) -> Option<String> {
    let until = Instant::now() + PATIENCE;
    while network::is_taken(transport, address) {
        if Instant::now() >= until {
            return Some(format!("port {address}/{transport}"));
        }
        sleep(LOOK).await;
    }
    None
}

/// Removes every container of a runner, running or not, and says what was found. Work that this program has begun and given up is waited for.
pub(super) async fn sweep(docker: &bollard::Docker, runner: &Name) -> Result<Vec<String>, DeployError> {
    unfinished::settle().await;
    let filters = HashMap::from([("label", vec![format!("{RUNNER_LABEL}={runner}")])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let containers = engine::patiently(|| docker.list_containers(Some(options.clone())))
        .await
        .map_err(|error| said(&error))?;
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

/// Removes containers, and then the network that they are on, from a destructor: on a thread with a runtime of its own, since the one that we are
/// in may be shutting down. What it does not get done before the program ends, the next sweep does.
pub(super) fn remove_detached(address: Address, names: Vec<String>, network: Option<Network>, work: Unfinished) {
    std::thread::spawn(move || {
        let _work = work;
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            return;
        };
        runtime.block_on(async {
            let Ok(docker) = engine::connect(&address).await else {
                return;
            };
            let mut left = Vec::new();
            for name in names {
                left.extend(remove(&docker, &name).await);
            }
            if let Some(network) = network {
                left.extend(network.remove_by(&docker).await);
            }
            for left in left {
                tracing::warn!("could not remove {left}");
            }
        });
    });
}
