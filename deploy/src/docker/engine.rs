//! The engine: finding it, agreeing on a version, and telling its errors.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::io;
use std::time::{Duration, Instant};

use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, SystemInfo, SystemVersion};
use protocol::spec::Engine;

use super::address::Address;
use crate::DeployError;

/// How long an engine may take to say its version. One that takes longer hangs.
const HELLO: Duration = Duration::from_secs(10);

/// How long an answer may stay unreadable, and how often it is asked for.
const READABLE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

/// What engines and runtimes say, and what to do about it.
const REMEDIES: [(&str, &str); 3] = [
    // It was taken from under it, as a second engine with `--bridge none` does.
    (
        "could not find bridge",
        "restart the engine: it makes its bridge only when it starts",
    ),
    (
        "cgroups in hybrid mode not supported",
        "crun refuses a host where versions 1 and 2 of cgroups share the controllers: start the engine where /sys/fs/cgroup/unified is unmounted, as deploy/docker/engine.sh does, or boot with version 2 alone",
    ),
    // https://github.com/google/gvisor/issues/10704
    (
        "cannot run with network enabled in root network namespace",
        "this gVisor is older than the kernel and takes every network namespace for the first: install a newer one, or register deploy/docker/runsc.sh in its place",
    ),
];

/// Connects to an engine and agrees on an API version (Debian's 20.10 and Podman's 4.3 speak 1.41).
pub(super) async fn connect(address: &Address) -> Result<bollard::Docker, DeployError> {
    connect_to(address, HELLO).await
}

async fn connect_to(address: &Address, patience: Duration) -> Result<bollard::Docker, DeployError> {
    let docker = bollard::Docker::connect_with_host(&address.at).map_err(|error| no_engine(&error, address))?;
    match tokio::time::timeout(patience, docker.negotiate_version()).await {
        Ok(Ok(docker)) => Ok(docker),
        Ok(Err(error)) => Err(no_engine(&error, address)),
        // Not unmet: it is there, and what it runs it may still run.
        Err(_) => Err(DeployError::Platform {
            platform: "docker",
            message: format!(
                "no word from the engine at {} within {} ms: look at its log and restart it",
                address.at,
                patience.as_millis()
            ),
        }),
    }
}

/// What the engine says about itself.
pub(super) async fn about(docker: &bollard::Docker) -> Result<(SystemInfo, SystemVersion), DeployError> {
    let version = docker.version().await.map_err(|error| said(&error))?;
    let info = docker.info().await.map_err(|error| said(&error))?;
    Ok((info, version))
}

/// The same for people who compare installations.
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
            // Podman's names have spaces, and its versions several lines.
            let version = component.version.lines().next().map(str::to_owned);
            put(&component.name.to_lowercase().replace(' ', "_"), version);
        }
    }
    details
}

/// The engine's own words.
pub(super) fn said(error: &Error) -> DeployError {
    match error {
        Error::DockerResponseServerError { message, .. } => {
            let known = REMEDIES.iter().find(|(words, _)| message.contains(words));
            let remedy = known.map_or_else(String::new, |(_, remedy)| format!(" ({remedy})"));
            DeployError::Platform {
                platform: "docker",
                message: format!("{message}{remedy}"),
            }
        }
        other => lost(other, &chain(other)),
    }
}

/// Asks again while the answer cannot be read: for moments Podman shows a container as `stopped`, a state that Docker's API does not have.
pub(super) async fn patiently<T, F: Future<Output = Result<T, Error>>>(ask: impl Fn() -> F) -> Result<T, Error> {
    let until = Instant::now() + READABLE;
    loop {
        match ask().await {
            Err(Error::JsonDataError { .. }) if Instant::now() < until => tokio::time::sleep(LOOK).await,
            answer => return answer,
        }
    }
}

/// What the engine knows of a container.
pub(super) async fn inspect(docker: &bollard::Docker, container: &str) -> Result<ContainerInspectResponse, Error> {
    patiently(|| docker.inspect_container(container, None)).await
}

/// Whether the engine says that there is no such thing.
pub(super) const fn is_missing(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

/// Why an engine does not answer, with what to do.
fn no_engine(error: &Error, address: &Address) -> DeployError {
    let kind = io_kind(error);
    let whose = match address.engine {
        Engine::Docker => "Docker engine",
        Engine::Podman => "service of Podman",
    };
    if matches!(error, Error::SocketNotFoundError(_)) || kind == Some(io::ErrorKind::NotFound) {
        DeployError::Unmet {
            need: format!("there is no {whose} on this host, at {}", address.at),
            remedy: address.remedy(false),
        }
    } else if kind == Some(io::ErrorKind::ConnectionRefused) {
        DeployError::Unmet {
            need: format!("the {whose} does not run at {}", address.at),
            remedy: address.remedy(true),
        }
    } else {
        lost(error, &format!("{} at {}", chain(error), address.at))
    }
}

/// Why an engine that may well be there cannot be talked to.
fn lost(error: &Error, words: &str) -> DeployError {
    match io_kind(error) {
        Some(io::ErrorKind::PermissionDenied) => DeployError::Unmet {
            need: "this user may not talk to the Docker engine".into(),
            remedy: "add the user to the group docker (`usermod -aG docker <user>`, then log in again), or run the runner as root".into(),
        },
        Some(io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => DeployError::Unmet {
            need: "the engine is gone".into(),
            remedy: "see why it ended (`journalctl -u docker`), and start it again".into(),
        },
        _ => DeployError::Platform {
            platform: "docker",
            message: words.to_owned(),
        },
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

    fn at(engine: Engine, socket: &std::path::Path) -> Address {
        Address {
            engine,
            at: format!("unix://{}", socket.display()),
        }
    }

    #[tokio::test]
    async fn each_way_of_not_being_there_has_its_remedy() {
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
            let error = connect_to(&address, HELLO).await.unwrap_err();
            assert!(
                matches!(&error, DeployError::Unmet { remedy, .. } if remedy.contains(expected)),
                "{error}"
            );
        }
        let denied = said(&Error::IOError {
            err: io::ErrorKind::PermissionDenied.into(),
        });
        assert!(denied.to_string().contains("group docker"), "{denied}");
    }

    #[tokio::test]
    async fn an_engine_that_hangs_is_not_taken_for_none() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("deaf.sock");
        let _deaf = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let error = connect_to(&at(Engine::Docker, &socket), Duration::from_millis(100))
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
        assert_eq!(said(&error).to_string(), "docker: no space left");
        let error = said(&Error::DockerResponseServerError {
            status_code: 500,
            message: "cannot run with network enabled in root network namespace: unknown".into(),
        });
        assert!(error.to_string().contains("newer one"), "{error}");
    }
}
