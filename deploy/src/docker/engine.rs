//! The engine: finding it, agreeing on a version, and telling its errors.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use bollard::errors::Error;
use protocol::spec::Engine;

use crate::DeployError;

/// How long an engine may take to say its version. One that takes longer hangs.
const HELLO: Duration = Duration::from_secs(10);

/// What to do where an engine's bridge was taken from under it, as a second engine with `--bridge none` does.
const LOST_BRIDGE: &str = " (restart the engine: it makes its bridge only when it starts)";

/// The variable that says where an engine listens, and where it does that nobody has told otherwise.
const fn place(engine: Engine) -> (&'static str, &'static str) {
    match engine {
        Engine::Docker => ("DOCKER_HOST", "unix:///var/run/docker.sock"),
        Engine::Podman => ("CONTAINER_HOST", "unix:///run/podman/podman.sock"),
    }
}

/// Connects to the engine that the environment names, or to the local one, and agrees on an API version (Debian's 20.10 speaks 1.41).
pub(super) async fn connect(engine: Engine) -> Result<bollard::Docker, DeployError> {
    let (variable, local) = place(engine);
    let host = std::env::var(variable).ok().filter(|host| !host.is_empty());
    let connected = connect_to(host.as_deref().unwrap_or(local), HELLO).await;
    match (engine, connected) {
        (Engine::Podman, Err(DeployError::Unmet { .. })) => Err(DeployError::Unmet {
            need: "no service of Podman answers on this host".into(),
            remedy: format!(
                "start one by `podman system service --time 0 {local} &` or podman.socket, or name its socket in {variable}"
            ),
        }),
        (_, connected) => connected,
    }
}

/// Whether an engine has a runtime of this name, or is told a shim of containerd's by its whole name.
///
/// # Errors
/// [`DeployError::Unmet`] where it has none.
pub(super) async fn has_runtime(docker: &bollard::Docker, name: &str) -> Result<(), DeployError> {
    let info = docker.info().await.map_err(|error| said(&error))?;
    let known = info.runtimes.unwrap_or_default();
    if known.contains_key(name) || name.starts_with("io.containerd.") {
        return Ok(());
    }
    let mut names: Vec<&str> = known.keys().map(String::as_str).collect();
    names.sort_unstable();
    Err(DeployError::Unmet {
        need: format!("the engine has no runtime {name}, only {}", names.join(", ")),
        remedy: format!(
            "install it (Debian: {name}) and tell dockerd by \"runtimes\": {{\"{name}\": {{\"path\": \"/usr/bin/{name}\"}}}} in /etc/docker/daemon.json"
        ),
    })
}

async fn connect_to(host: &str, patience: Duration) -> Result<bollard::Docker, DeployError> {
    let docker = bollard::Docker::connect_with_host(host).map_err(|error| no_engine(&error))?;
    match tokio::time::timeout(patience, docker.negotiate_version()).await {
        Ok(Ok(docker)) => Ok(docker),
        Ok(Err(error)) => Err(no_engine(&error)),
        // Not unmet: it is there, and what it runs it may still run.
        Err(_) => Err(DeployError::Platform {
            platform: "docker",
            message: format!(
                "no word from the engine at {host} within {} ms: look at its log and restart it",
                patience.as_millis()
            ),
        }),
    }
}

/// What the engine says about itself.
pub(super) async fn details(docker: &bollard::Docker) -> Result<BTreeMap<String, String>, DeployError> {
    let version = docker.version().await.map_err(|error| said(&error))?;
    let info = docker.info().await.map_err(|error| said(&error))?;
    let mut details = BTreeMap::from([("client_api".to_owned(), docker.client_version().to_string())]);
    let mut put = |key: &str, value: Option<String>| {
        value.map(|value| details.insert(key.to_owned(), value));
    };
    put("engine", version.version);
    put("engine_api", version.api_version);
    put("storage_driver", info.driver);
    put("cgroup_driver", info.cgroup_driver.map(|driver| driver.to_string()));
    put("cgroup_version", info.cgroup_version.map(|version| version.to_string()));
    put("default_runtime", info.default_runtime);
    put("memory_limit", info.memory_limit.map(|able| able.to_string()));
    put("swap_limit", info.swap_limit.map(|able| able.to_string()));
    put("cpuset", info.cpu_set.map(|able| able.to_string()));
    for component in version.components.into_iter().flatten() {
        if component.name != "Engine" {
            put(&component.name.to_lowercase(), Some(component.version));
        }
    }
    Ok(details)
}

/// The host's address on the bridge that containers are put on.
pub(super) async fn gateway(docker: &bollard::Docker) -> Result<IpAddr, DeployError> {
    let bridge = docker
        .inspect_network("bridge", None::<bollard::query_parameters::InspectNetworkOptions>)
        .await
        .map_err(|error| said(&error))?;
    let configs = bridge.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    let gateway = configs
        .iter()
        .find_map(|config| config.gateway.as_deref()?.parse().ok());
    gateway.ok_or_else(|| DeployError::Platform {
        platform: "docker",
        message: "its network `bridge` has no gateway, so containers could not reach this host".into(),
    })
}

/// The engine's own words.
pub(super) fn said(error: &Error) -> DeployError {
    match error {
        Error::DockerResponseServerError { message, .. } => {
            let remedy = if message.contains("could not find bridge") {
                LOST_BRIDGE
            } else {
                ""
            };
            DeployError::Platform {
                platform: "docker",
                message: format!("{message}{remedy}"),
            }
        }
        other => no_engine(other),
    }
}

/// Whether the engine says that there is no such thing.
pub(super) const fn is_missing(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

fn no_engine(error: &Error) -> DeployError {
    let kind = io_kind(error);
    if matches!(error, Error::SocketNotFoundError(_)) || kind == Some(io::ErrorKind::NotFound) {
        DeployError::Unmet {
            need: "there is no Docker engine on this host".into(),
            remedy: "install one with `deploy/setup.sh docker` (Debian's docker.io), or name its socket in DOCKER_HOST"
                .into(),
        }
    } else if kind == Some(io::ErrorKind::ConnectionRefused) {
        DeployError::Unmet {
            need: "the Docker engine does not run".into(),
            remedy: "start it with `systemctl start docker`, or `dockerd` where there is no systemd".into(),
        }
    } else if kind == Some(io::ErrorKind::PermissionDenied) {
        DeployError::Unmet {
            need: "this user may not talk to the Docker engine".into(),
            remedy: "add the user to the group docker (`usermod -aG docker <user>`, then log in again), or run the runner as root".into(),
        }
    } else {
        DeployError::Platform {
            platform: "docker",
            message: chain(error),
        }
    }
}

/// The system's error at the bottom of a client's.
fn io_kind(error: &Error) -> Option<io::ErrorKind> {
    if let Error::IOError { err } = error {
        return Some(err.kind());
    }
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(io) = current.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        cause = current.source();
    }
    None
}

/// An error with its causes, since the outermost often only says that a request failed.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(current) = cause {
        let more = current.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = current.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_way_of_not_being_there_has_its_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let dead = dir.path().join("dead.sock");
        drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
        for (socket, expected) in [
            (dir.path().join("none.sock"), "setup.sh docker"),
            (dead, "systemctl start docker"),
        ] {
            let error = connect_to(&format!("unix://{}", socket.display()), HELLO)
                .await
                .unwrap_err();
            assert!(
                matches!(&error, DeployError::Unmet { remedy, .. } if remedy.contains(expected)),
                "{error}"
            );
        }
        let denied = no_engine(&Error::IOError {
            err: io::ErrorKind::PermissionDenied.into(),
        });
        assert!(denied.to_string().contains("group docker"), "{denied}");
    }

    #[tokio::test]
    async fn an_engine_that_hangs_is_not_taken_for_none() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("deaf.sock");
        let _deaf = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let error = connect_to(&format!("unix://{}", socket.display()), Duration::from_millis(100))
            .await
            .unwrap_err();
        assert!(
            matches!(&error, DeployError::Platform { message, .. } if message.contains("restart it")),
            "{error}"
        );
    }

    #[test]
    fn the_words_of_the_engine_are_kept() {
        let error = Error::DockerResponseServerError {
            status_code: 500,
            message: "no space left".into(),
        };
        assert_eq!(said(&error).to_string(), "docker says: no space left");
    }
}
