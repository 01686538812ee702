//! A network of the engine on the runner's own bridge, so that containers and guests are reached on one path.
//!
//! The engine is told the bridge's name and finds it there, so it does not take it away at the end. Containers get addresses of the upper half of
//! the bridge's network, guests those of the lower.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use protocol::ids::Name;
use tokio::time::{Instant, sleep};

use super::address::Address;
use super::engine::{self, is_missing, said};
use super::unfinished::{self, Unfinished};
use crate::DeployError;
use crate::mark::RUNNER_LABEL;
use crate::network::bridge::Bridge;
use crate::network::subnet::Subnet;

/// How long an engine may take to let go of a network whose containers are on their way out.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is tried.
const LOOK: Duration = Duration::from_millis(50);

/// A runner's network. Dropping it removes it, soon after, and the bridge if nothing else is on it.
#[derive(Debug)]
pub(super) struct Network {
    address: Address,
    docker: Box<bollard::Docker>,
    bridge: Bridge,
    gone: bool,
}

impl Network {
    /// Makes it, and the bridge if need be. One that a dead self left is taken away first, and what is still on its way out is waited for: it has
    /// the same name and the same bridge.
    pub(super) async fn make(address: &Address, docker: &bollard::Docker, runner: &Name) -> Result<Self, DeployError> {
        unfinished::settle().await;
        let network = Self {
            address: address.clone(),
            docker: Box::new(docker.clone()),
            bridge: Bridge::of(runner),
            gone: false,
        };
        let runner = runner.clone();
        // A request that is dropped half-way may still be obeyed, so this is seen through by a task of its own; what nobody waits for any more is
        // removed when it is done.
        let work = Unfinished::begin();
        let made = tokio::spawn(async move { (network.fill(&runner).await.map(|()| network), work) });
        match made.await {
            Ok((made, _)) => made,
            Err(error) => Err(DeployError::Platform {
                platform: "docker",
                message: format!("making a network broke: {error}"),
            }),
        }
    }

    async fn fill(&self, runner: &Name) -> Result<(), DeployError> {
        remove(&self.docker, &self.name(), PATIENCE).await?;
        let subnet = Subnet::around(self.bridge.host()?);
        let request = request(&self.bridge, runner, subnet);
        self.docker
            .create_network(request)
            .await
            .map_err(|error| said(&error))?;
        Ok(())
    }

    /// Its name in the engine: that of the bridge.
    pub(super) fn name(&self) -> String {
        self.bridge.name()
    }

    /// Removes it; says what is left.
    pub(super) async fn remove(self) -> Vec<String> {
        let docker = self.docker.clone();
        self.remove_by(&docker).await
    }

    /// Removes it over another connection to its engine; says what is left.
    pub(super) async fn remove_by(mut self, docker: &bollard::Docker) -> Vec<String> {
        self.gone = true;
        take_away(docker, &self.bridge).await
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if self.gone {
            return;
        }
        let (address, bridge, work) = (self.address.clone(), self.bridge.clone(), Unfinished::begin());
        // On a thread with a runtime of its own, since the one that we are in may be shutting down.
        std::thread::spawn(move || {
            let _work = work;
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
                return;
            };
            runtime.block_on(async {
                if let Ok(docker) = engine::connect(&address).await {
                    for left in take_away(&docker, &bridge).await {
                        tracing::warn!("could not remove {left}");
                    }
                }
            });
        });
    }
}

/// What the engine is asked to make.
fn request(bridge: &Bridge, runner: &Name, subnet: Subnet) -> NetworkCreateRequest {
    let options = [
        ("com.docker.network.bridge.name", bridge.name()),
        // Guests are not hidden behind the host's address either.
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

async fn take_away(docker: &bollard::Docker, bridge: &Bridge) -> Vec<String> {
    let removed = remove(docker, &bridge.name(), PATIENCE).await;
    let mut left: Vec<String> = removed.err().map(|error| error.to_string()).into_iter().collect();
    left.extend(bridge.release());
    left
}

/// Removes a network by its name; `true`: there was one.
async fn remove(docker: &bollard::Docker, name: &str, patience: Duration) -> Result<bool, DeployError> {
    let until = Instant::now() + patience;
    loop {
        match docker.remove_network(name).await {
            Ok(()) => return Ok(true),
            Err(error) if is_missing(&error) => return Ok(false),
            Err(error) if Instant::now() >= until => {
                return Err(DeployError::Platform {
                    platform: "docker",
                    message: format!("network {name} cannot be removed: {}", said(&error)),
                });
            }
            Err(_) => sleep(LOOK).await,
        }
    }
}

/// Removes what a dead self left, and the bridge if nothing is on it; says what was found.
pub(super) async fn sweep(docker: &bollard::Docker, runner: &Name) -> Vec<String> {
    let bridge = Bridge::of(runner);
    let mut found = match remove(docker, &bridge.name(), PATIENCE).await {
        Ok(false) => Vec::new(),
        Ok(true) => vec![format!("removed network {}", bridge.name())],
        Err(error) => vec![error.to_string()],
    };
    let was_there = bridge.exists();
    found.extend(bridge.release());
    if was_there && !bridge.exists() {
        found.push(format!("removed bridge {}", bridge.name()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_have_the_upper_half_of_the_bridge() {
        let runner = "lab".parse().unwrap();
        let bridge = Bridge::of(&runner);
        let request = request(&bridge, &runner, Subnet::around("10.213.9.1".parse().unwrap()));
        let json = serde_json::to_value(request).unwrap();
        assert_eq!(json["Options"]["com.docker.network.bridge.name"], bridge.name());
        assert_eq!(json["IPAM"]["Config"][0]["Subnet"], "10.213.9.0/24");
        assert_eq!(json["IPAM"]["Config"][0]["Gateway"], "10.213.9.1");
        assert_eq!(json["IPAM"]["Config"][0]["IPRange"], "10.213.9.128/25");
        assert_eq!(json["Labels"]["jung.runner"], "lab");
    }
}
