//! The address of an engine.

use std::os::unix::net::UnixStream;

use nix::sys::socket::{getsockopt, sockopt};
use protocol::spec::{DockerSpec, Engine};

/// The address of an engine.
#[derive(Clone, Debug)]
pub(super) struct Address {
    /// The engine that is expected there.
    pub(super) engine: Engine,
    /// The URL of its socket, e.g. `unix:///var/run/docker.sock`.
    pub(super) at: String,
}

impl Address {
    /// The socket of the platform's configuration, of the environment, or the default one.
    pub(super) fn of(spec: &DockerSpec) -> Self {
        Self::with(spec, |variable| std::env::var(variable).ok())
    }

    fn with(spec: &DockerSpec, environment: impl Fn(&str) -> Option<String>) -> Self {
        let (variable, default) = defaults(spec.engine);
        let configured = spec.socket.as_ref().map(ToString::to_string);
        let at = configured.or_else(|| environment(variable).filter(|at| !at.is_empty()));
        Self {
            engine: spec.engine,
            at: at.unwrap_or_else(|| default.to_owned()),
        }
    }

    /// The PID of the process that listens there, from the kernel; `None`: it is not a socket of this host, or its process is not visible. If systemd created
    /// the socket, it is systemd's.
    pub(super) fn listener(&self) -> Option<u32> {
        let socket = UnixStream::connect(self.at.strip_prefix("unix://")?).ok()?;
        let peer = getsockopt(&socket, sockopt::PeerCredentials).ok()?;
        u32::try_from(peer.pid()).ok().filter(|&pid| pid > 0)
    }

    /// How to start the engine if it is installed, or else how to install it.
    pub(super) fn remedy(&self, is_installed: bool) -> String {
        let (variable, _) = defaults(self.engine);
        match self.engine {
            Engine::Podman => format!(
                "start it with `podman system service --time=0 {} &` or podman.socket (`deploy/setup.sh podman` installs it), or set `socket` or {variable} to another",
                self.at
            ),
            Engine::Docker if is_installed => {
                "start it with `systemctl start docker`, or `dockerd` without systemd".to_owned()
            }
            Engine::Docker => format!(
                "install it with `deploy/setup.sh docker` (Debian's docker.io), or set `socket` or {variable} to its socket"
            ),
        }
    }
}

/// The environment variable with an engine's socket, and the default socket.
const fn defaults(engine: Engine) -> (&'static str, &'static str) {
    match engine {
        Engine::Docker => ("DOCKER_HOST", "unix:///var/run/docker.sock"),
        Engine::Podman => ("CONTAINER_HOST", "unix:///run/podman/podman.sock"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listener_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let address = Address {
            engine: Engine::Docker,
            at: format!("unix://{}", path.display()),
        };
        assert_eq!(address.listener(), None);
        let _listening = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(address.listener(), Some(std::process::id()));
    }

    #[test]
    fn the_configuration_overrides_the_environment() {
        let environment = |variable: &str| (variable == "DOCKER_HOST").then(|| "unix:///run/other.sock".to_owned());
        let mut spec = DockerSpec::default();
        assert_eq!(Address::with(&spec, environment).at, "unix:///run/other.sock");
        assert_eq!(
            Address::with(&spec, |_| Some(String::new())).at,
            "unix:///var/run/docker.sock"
        );
        spec.engine = Engine::Podman;
        assert_eq!(Address::with(&spec, environment).at, "unix:///run/podman/podman.sock");
        spec.socket = Some("unix:///tmp/p.sock".parse().unwrap());
        let address = Address::with(&spec, |_| Some("unix:///not/this.sock".to_owned()));
        assert_eq!(address.at, "unix:///tmp/p.sock");
        assert!(
            address
                .remedy(false)
                .contains("podman system service --time=0 unix:///tmp/p.sock")
        );
    }
}
