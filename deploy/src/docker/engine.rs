//! The connection to the engine, and its errors.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::io;
use std::time::{Duration, Instant};

use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, SystemInfo, SystemVersion};
use protocol::spec::Engine;

use super::address::Address;
use crate::DeployError;

/// How long an engine may take to report its version. One that takes longer hangs.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long replies may be unreadable.
const UNREADABLE_TIMEOUT: Duration = Duration::from_secs(10);
/// The interval of retries meanwhile.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// Messages of engines and runtimes, with remedies.
const REMEDIES: [(&str, &str); 3] = [
    // Its bridge was removed, as a second engine with `--bridge none` does.
    (
        "could not find bridge",
        "restart the engine: it creates its bridge only when it starts",
    ),
    (
        "cgroups in hybrid mode not supported",
        "crun does not support a host on which cgroup versions 1 and 2 share the controllers: start the engine with /sys/fs/cgroup/unified unmounted, as deploy/docker/engine.sh does, or boot with version 2 only",
    ),
    // https://github.com/google/gvisor/issues/10704
    (
        "cannot run with network enabled in root network namespace",
        "this gVisor is older than the kernel and mistakes every network namespace for the initial one: install a newer one, or register deploy/docker/runsc.sh instead",
    ),
];

/// Connects to an engine and negotiates the API version (Debian's 20.10 and Podman's 4.3 speak 1.41).
pub(super) async fn connect(address: &Address) -> Result<bollard::Docker, DeployError> {
    connect_to(address, CONNECT_TIMEOUT).await
}

async fn connect_to(address: &Address, limit: Duration) -> Result<bollard::Docker, DeployError> {
    let docker = bollard::Docker::connect_with_host(&address.at).map_err(|error| connect_error(&error, address))?;
    match tokio::time::timeout(limit, docker.negotiate_version()).await {
        Ok(Ok(docker)) => Ok(docker),
        Ok(Err(error)) => Err(connect_error(&error, address)),
        // Not `Unmet`: the engine exists, and its containers may be running.
        Err(_) => Err(DeployError::Platform {
            platform: "docker",
            message: format!(
                "no reply from the engine at {} within {} ms: check its log and restart it",
                address.at,
                limit.as_millis()
            ),
        }),
    }
}

/// What the engine reports about itself.
pub(super) async fn info(docker: &bollard::Docker) -> Result<(SystemInfo, SystemVersion), DeployError> {
    let version = docker.version().await.map_err(|error| engine_error(&error))?;
    let info = docker.info().await.map_err(|error| engine_error(&error))?;
    Ok((info, version))
}

/// The engine's facts.
pub(super) fn details(docker: &bollard::Docker, info: SystemInfo, version: SystemVersion) -> BTreeMap<String, String> {
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
            // Podman's names contain spaces, and its versions several lines.
            let version = component.version.lines().next().map(str::to_owned);
            put(&component.name.to_lowercase().replace(' ', "_"), version);
        }
    }
    details
}

/// An error that the engine returned, with the remedy if it is known.
pub(super) fn engine_error(error: &Error) -> DeployError {
    match error {
        Error::DockerResponseServerError { message, .. } => {
            let known = REMEDIES.iter().find(|(part, _)| message.contains(part));
            let remedy = known.map_or_else(String::new, |(_, remedy)| format!(" ({remedy})"));
            DeployError::Platform {
                platform: "docker",
                message: format!("{message}{remedy}"),
            }
        }
        other => connection_error(other, chain(other)),
    }
}

/// Repeats a request while its reply cannot be parsed: for a moment Podman reports a container as `stopped`, a state that Docker's API does not have.
pub(super) async fn retry_unreadable<T, F: Future<Output = Result<T, Error>>>(
    request: impl Fn() -> F,
) -> Result<T, Error> {
    let until = Instant::now() + UNREADABLE_TIMEOUT;
    loop {
        match request().await {
            Err(Error::JsonDataError { .. }) if Instant::now() < until => tokio::time::sleep(RETRY_INTERVAL).await,
            reply => return reply,
        }
    }
}

/// The engine's record of a container.
pub(super) async fn inspect(docker: &bollard::Docker, container: &str) -> Result<ContainerInspectResponse, Error> {
    retry_unreadable(|| docker.inspect_container(container, None)).await
}

/// Whether the engine replied that the object does not exist.
pub(super) const fn is_missing(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

/// Why connecting to an engine failed, with the remedy.
fn connect_error(error: &Error, address: &Address) -> DeployError {
    let kind = io_kind(error);
    let whose = match address.engine {
        Engine::Docker => "Docker engine",
        Engine::Podman => "Podman service",
    };
    if matches!(error, Error::SocketNotFoundError(_)) || kind == Some(io::ErrorKind::NotFound) {
        DeployError::Unmet {
            need: format!("there is no {whose} on this host, at {}", address.at),
            remedy: address.remedy(false),
        }
    } else if kind == Some(io::ErrorKind::ConnectionRefused) {
        DeployError::Unmet {
            need: format!("the {whose} at {} is not running", address.at),
            remedy: address.remedy(true),
        }
    } else {
        connection_error(error, format!("{} at {}", chain(error), address.at))
    }
}

/// Why the connection to an engine that may exist failed.
fn connection_error(error: &Error, message: String) -> DeployError {
    match io_kind(error) {
        Some(io::ErrorKind::PermissionDenied) => DeployError::Unmet {
            need: "this user is not allowed to use the Docker engine".into(),
            remedy: "add the user to the group docker (`usermod -aG docker <user>`, then log in again), or run the runner as root".into(),
        },
        Some(io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => DeployError::Unmet {
            need: "the engine has stopped".into(),
            remedy: "find out why (`journalctl -u docker`), and restart it".into(),
        },
        _ => DeployError::Platform {
            platform: "docker",
            message,
        },
    }
}

/// The I/O error among an error's causes.
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

/// An error with its causes: the outermost often says only that a request failed.
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

    fn at(engine: Engine, socket: &std::path::Path) -> Address {
        Address {
            engine,
            at: format!("unix://{}", socket.display()),
        }
    }

    #[tokio::test]
    async fn every_connect_error_has_a_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let dead = dir.path().join("dead.sock");
        drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
        let none = dir.path().join("none.sock");
        for (address, expected) in [
            (at(Engine::Docker, &none), "setup.sh docker"),
            (at(Engine::Docker, &dead), "systemctl start docker"),
            (at(Engine::Podman, &none), "podman system service"),
            (at(Engine::Podman, &dead), "podman system service"),
        ] {
            let error = connect_to(&address, CONNECT_TIMEOUT).await.unwrap_err();
            assert!(
                matches!(&error, DeployError::Unmet { remedy, .. } if remedy.contains(expected)),
                "{error}"
            );
        }
        let denied = engine_error(&Error::IOError {
            err: io::ErrorKind::PermissionDenied.into(),
        });
        assert!(denied.to_string().contains("group docker"), "{denied}");
    }

    #[tokio::test]
    async fn an_engine_that_hangs_is_not_reported_as_missing() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("silent.sock");
        let _silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let error = connect_to(&at(Engine::Docker, &socket), Duration::from_millis(100))
            .await
            .unwrap_err();
        assert!(
            matches!(&error, DeployError::Platform { message, .. } if message.contains("restart it")),
            "{error}"
        );
    }

    #[test]
    fn the_message_of_the_engine_is_kept() {
        let error = Error::DockerResponseServerError {
            status_code: 500,
            message: "no space left".into(),
        };
        assert_eq!(engine_error(&error).to_string(), "docker: no space left");
        let error = engine_error(&Error::DockerResponseServerError {
            status_code: 500,
            message: "cannot run with network enabled in root network namespace: unknown".into(),
        });
        assert!(error.to_string().contains("newer one"), "{error}");
    }
}
