//! A network of the engine on the runner's own bridge, so that containers and guests have the same network path.
//!
//! The bridge exists before the engine's network, so the engine does not remove it. Containers get addresses in the upper half of the bridge's subnet, guests
//! in the lower half.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use protocol::ids::Name;
use tokio::time::{Instant, sleep};

use super::address::Address;
use super::background::{self, Pending};
use super::engine::{engine_error, is_missing};
use crate::DeployError;
use crate::mark::RUNNER_LABEL;
use crate::network::bridge::Bridge;
use crate::network::subnet::Subnet;

/// How long an engine may take to remove a network whose containers are being removed.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(20);
/// The interval of retries.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// A runner's network. Dropping it removes it in the background, and the bridge if nothing else is on it.
#[derive(Debug)]
pub(super) struct Network {
    address: Address,
    docker: Box<bollard::Docker>,
    bridge: Bridge,
    removed: bool,
}

impl Network {
    /// Creates it, and the bridge if necessary. First waits for pending removals and removes what a crashed previous instance left: it has the same name and
    /// bridge.
    pub(super) async fn create(
        address: &Address,
        docker: &bollard::Docker,
        runner: &Name,
    ) -> Result<Self, DeployError> {
        background::settle().await;
        let network = Self {
            address: address.clone(),
            docker: Box::new(docker.clone()),
            bridge: Bridge::of(runner),
            removed: false,
        };
        let runner = runner.clone();
        // The engine may still execute a request whose future is dropped. So a task of its own completes it; if the caller is gone, the result is dropped
        // and thereby removed.
        let pending = Pending::new();
        let task = tokio::spawn(async move { (network.create_in_engine(&runner).await.map(|()| network), pending) });
        match task.await {
            Ok((created, _)) => created,
            Err(error) => Err(DeployError::Platform {
                platform: "docker",
                message: format!("creating a network panicked: {error}"),
            }),
        }
    }

    async fn create_in_engine(&self, runner: &Name) -> Result<(), DeployError> {
        remove(&self.docker, &self.name()).await?;
        let subnet = Subnet::around(self.bridge.host()?);
        let request = create_request(&self.bridge, runner, subnet);
        self.docker
            .create_network(request)
            .await
            .map_err(|error| engine_error(&error))?;
        Ok(())
    }

    /// Its name in the engine, which is that of the bridge.
    pub(super) fn name(&self) -> String {
        self.bridge.name()
    }

    /// Removes it. Returns what is left.
    pub(super) async fn remove(self) -> Vec<String> {
        let docker = self.docker.clone();
        self.remove_with(&docker).await
    }

    /// Removes it over another connection to its engine. Returns what is left.
    pub(super) async fn remove_with(mut self, docker: &bollard::Docker) -> Vec<String> {
        self.removed = true;
        remove_with_bridge(docker, &self.bridge).await
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if !self.removed {
            let bridge = self.bridge.clone();
            background::remove(self.address.clone(), Pending::new(), async move |docker| {
                remove_with_bridge(&docker, &bridge).await
            });
        }
    }
}

/// The request that creates the network.
fn create_request(bridge: &Bridge, runner: &Name, subnet: Subnet) -> NetworkCreateRequest {
    let options = [
        ("com.docker.network.bridge.name", bridge.name()),
        // As for guests, the host's address does not hide theirs.
        ("com.docker.network.bridge.enable_ip_masquerade", "false".to_owned()),
    ];
    let ipam = IpamConfig {
        subnet: Some(format!("{}/24", subnet.at(0))),
        gateway: Some(subnet.host().to_string()),
        ip_range: Some(format!("{}/25", subnet.at(128))),
        ..IpamConfig::default()
    };
    NetworkCreateRequest {
        name: bridge.name(),
        driver: Some("bridge".to_owned()),
        options: Some(options.map(|(key, value)| (key.to_owned(), value)).into()),
        labels: Some(HashMap::from([(RUNNER_LABEL.to_owned(), runner.to_string())])),
        ipam: Some(Ipam {
            config: Some(vec![ipam]),
            ..Ipam::default()
        }),
        ..NetworkCreateRequest::default()
    }
}

/// Removes a network, and its bridge if nothing else is on it. Returns what is left.
async fn remove_with_bridge(docker: &bollard::Docker, bridge: &Bridge) -> Vec<String> {
    let removed = remove(docker, &bridge.name()).await;
    let mut left: Vec<String> = removed.err().map(|error| error.to_string()).into_iter().collect();
    left.extend(bridge.release());
    left
}

/// Removes a network by its name; `false`: it did not exist.
async fn remove(docker: &bollard::Docker, name: &str) -> Result<bool, DeployError> {
    let until = Instant::now() + REMOVAL_TIMEOUT;
    loop {
        match docker.remove_network(name).await {
            Ok(()) => return Ok(true),
            Err(error) if is_missing(&error) => return Ok(false),
            Err(error) if Instant::now() >= until => {
                return Err(DeployError::Platform {
                    platform: "docker",
                    message: format!("cannot remove network {name}: {}", engine_error(&error)),
                });
            }
            Err(_) => sleep(RETRY_INTERVAL).await,
        }
    }
}

/// Removes what a crashed previous instance left, and the bridge if nothing is on it. Returns a line for each thing.
pub(super) async fn sweep(docker: &bollard::Docker, runner: &Name) -> Vec<String> {
    let bridge = Bridge::of(runner);
    let mut found = match remove(docker, &bridge.name()).await {
        Ok(false) => Vec::new(),
        Ok(true) => vec![format!("removed network {}", bridge.name())],
        Err(error) => vec![error.to_string()],
    };
    let existed = bridge.exists();
    found.extend(bridge.release());
    if existed && !bridge.exists() {
        found.push(format!("removed bridge {}", bridge.name()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_get_the_upper_half_of_the_subnet() {
        let runner = "lab".parse().unwrap();
        let bridge = Bridge::of(&runner);
        let request = create_request(&bridge, &runner, Subnet::around("10.213.9.1".parse().unwrap()));
        let json = serde_json::to_value(request).unwrap();
        assert_eq!(json["Options"]["com.docker.network.bridge.name"], bridge.name());
        assert_eq!(json["IPAM"]["Config"][0]["Subnet"], "10.213.9.0/24");
        assert_eq!(json["IPAM"]["Config"][0]["Gateway"], "10.213.9.1");
        assert_eq!(json["IPAM"]["Config"][0]["IPRange"], "10.213.9.128/25");
        assert_eq!(json["Labels"]["jung.runner"], "lab");
    }
}
