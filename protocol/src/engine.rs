//! Which container engine, and which of its runtimes: words that end up in requests to an engine, so they are checked once, here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name under which an engine knows an OCI runtime, e.g. `runc`, `crun`, `runsc` or `io.containerd.runc.v2`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RuntimeName(String);

/// Why a text is not a [`RuntimeName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is not the name of a runtime: use 1 to 63 of a-z, A-Z, 0-9, ., - and _, beginning with a letter or a digit"
)]
pub struct BadRuntimeName {
    /// The refused text.
    pub given: String,
}

/// Where an engine of the runner's own host listens: `unix://` and an absolute path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EngineSocket(String);

/// Why a text is not an [`EngineSocket`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is not a socket of an engine: write it like unix:///run/podman/podman.sock, up to 107 bytes of path"
)]
pub struct BadEngineSocket {
    /// The refused text.
    pub given: String,
}

impl RuntimeName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl EngineSocket {
    /// Longer paths have no room in the kernel's `sockaddr_un`.
    const MAX_PATH: usize = 107;

    /// The whole address, `unix:///...`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path alone.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.strip_prefix("unix://").unwrap_or(&self.0)
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

impl FromStr for RuntimeName {
    type Err = BadRuntimeName;

    fn from_str(text: &str) -> Result<Self, BadRuntimeName> {
        let good = text.len() <= 63
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
        good.then(|| Self(text.to_owned()))
            .ok_or_else(|| BadRuntimeName { given: shortened(text) })
    }
}

impl FromStr for EngineSocket {
    type Err = BadEngineSocket;

    fn from_str(text: &str) -> Result<Self, BadEngineSocket> {
        let is_path = |path: &str| {
            path.starts_with('/')
                && (2..=Self::MAX_PATH).contains(&path.len())
                && !path.ends_with('/')
                && !path.chars().any(|c| c.is_control() || c.is_whitespace())
        };
        let good = text.strip_prefix("unix://").is_some_and(is_path);
        good.then(|| Self(text.to_owned()))
            .ok_or_else(|| BadEngineSocket { given: shortened(text) })
    }
}

impl TryFrom<String> for RuntimeName {
    type Error = BadRuntimeName;

    fn try_from(text: String) -> Result<Self, BadRuntimeName> {
        text.parse()
    }
}

impl TryFrom<String> for EngineSocket {
    type Error = BadEngineSocket;

    fn try_from(text: String) -> Result<Self, BadEngineSocket> {
        text.parse()
    }
}

impl From<RuntimeName> for String {
    fn from(name: RuntimeName) -> Self {
        name.0
    }
}

impl From<EngineSocket> for String {
    fn from(socket: EngineSocket) -> Self {
        socket.0
    }
}

impl fmt::Display for RuntimeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for EngineSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_are_called_as_engines_call_them() {
        for good in ["runc", "crun", "runsc", "io.containerd.runc.v2", "kata-fc_2"] {
            assert_eq!(good.parse::<RuntimeName>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "-v",
            ".runc",
            "run c",
            "../runc",
            "/usr/bin/crun",
            "é",
            &"x".repeat(64),
        ] {
            assert!(bad.parse::<RuntimeName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_engine_is_on_a_socket_of_this_host() {
        let socket: EngineSocket = "unix:///run/podman/podman.sock".parse().unwrap();
        assert_eq!(socket.path(), "/run/podman/podman.sock");
        let long = format!("unix:///{}", "x".repeat(107));
        for bad in [
            "",
            "unix://",
            "unix:///",
            "unix://run/x",
            "/run/x",
            "tcp://10.0.0.1:2375",
            "unix:///a b",
            "unix:///a\n",
            "unix:///a/",
            &long,
        ] {
            assert!(bad.parse::<EngineSocket>().is_err(), "{bad:?}");
        }
        let error = serde_json::from_str::<EngineSocket>("\"tcp://x:1\"").unwrap_err();
        assert!(error.to_string().contains("unix:///run/podman"), "{error}");
    }
}
