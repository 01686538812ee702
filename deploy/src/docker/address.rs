//! Where an engine listens, and whose it is.

use std::os::unix::net::UnixStream;

use nix::sys::socket::{getsockopt, sockopt};
use protocol::spec::{DockerSpec, Engine};

/// An engine to connect to.
#[derive(Clone, Debug)]
pub(super) struct Address {
    /// Whose it is said to be.
    pub(super) engine: Engine,
    /// Where it listens, e.g. `unix:///var/run/docker.sock`.
    pub(super) at: String,
}

impl Address {
    /// At the socket that the platform names, where the environment says, or at the usual place.
    pub(super) fn of(spec: &DockerSpec) -> Self {
        Self::with(spec, |variable| std::env::var(variable).ok())
    }

    fn with(spec: &DockerSpec, environment: impl Fn(&str) -> Option<String>) -> Self {
        let (variable, usual) = place(spec.engine);
        let named = spec.socket.as_ref().map(ToString::to_string);
        let at = named.or_else(|| environment(variable).filter(|at| !at.is_empty()));
        Self {
            engine: spec.engine,
            at: at.unwrap_or_else(|| usual.to_owned()),
        }
    }

    /// The process that listens there, as the kernel knows it; `None`: no socket of this host, or nobody whom we see. Where systemd made the socket, it is
    /// systemd.
    pub(super) fn listener(&self) -> Option<u32> {
        let socket = UnixStream::connect(self.at.strip_prefix("unix://")?).ok()?;
        let peer = getsockopt(&socket, sockopt::PeerCredentials).ok()?;
        u32::try_from(peer.pid()).ok().filter(|&pid| pid > 0)
    }

    /// How it is started where it does not run, and how it is got where it is not there.
    pub(super) fn remedy(&self, is_there: bool) -> String {
        let (variable, _) = place(self.engine);
        match self.engine {
            Engine::Podman => format!(
                "start its service by `podman system service --time=0 {} &` or podman.socket (`deploy/setup.sh podman` installs it), or name another in `socket` or {variable}",
                self.at
            ),
            Engine::Docker if is_there => {
                "start it with `systemctl start docker`, or `dockerd` where there is no systemd".to_owned()
            }
            Engine::Docker => format!(
                "install one with `deploy/setup.sh docker` (Debian's docker.io), or name its socket in `socket` or {variable}"
            ),
        }
    }
}

/// The variable that says where an engine listens, and where it does that nobody has told otherwise.
const fn place(engine: Engine) -> (&'static str, &'static str) {
    match engine {
        Engine::Docker => ("DOCKER_HOST", "unix:///var/run/docker.sock"),
        Engine::Podman => ("CONTAINER_HOST", "unix:///run/podman/podman.sock"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_is_known() {
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
    fn the_platforms_word_counts_before_the_environments() {
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
