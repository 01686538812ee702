//! Container engine sockets and OCI runtimes. They become part of requests to an engine, so they are validated here.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{truncated, validated_string};

/// The engine's name of an OCI runtime, e.g. `runc`, `crun`, `runsc` or `io.containerd.runc.v2`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RuntimeName(String);

/// Not a valid [`RuntimeName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is not a valid runtime name: use 1 to 63 of a-z, A-Z, 0-9, ., - and _, beginning with a letter or digit"
)]
pub struct InvalidRuntimeName {
    /// The invalid text.
    pub given: String,
}

/// The socket of an engine on the runner's host: `unix://` and an absolute path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EngineSocket(String);

/// Not a valid [`EngineSocket`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is not a valid engine socket: use a URL like unix:///run/podman/podman.sock, with at most 107 bytes of path"
)]
pub struct InvalidEngineSocket {
    /// The invalid text.
    pub given: String,
}

validated_string!(RuntimeName, InvalidRuntimeName);
validated_string!(EngineSocket, InvalidEngineSocket);

impl EngineSocket {
    /// Maximum path length in the kernel's `sockaddr_un`.
    const MAX_PATH: usize = 107;

    /// The path without `unix://`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.strip_prefix("unix://").unwrap_or(&self.0)
    }
}

impl FromStr for RuntimeName {
    type Err = InvalidRuntimeName;

    fn from_str(text: &str) -> Result<Self, InvalidRuntimeName> {
        let is_valid = text.len() <= 63
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
        is_valid
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| InvalidRuntimeName { given: truncated(text) })
    }
}

impl FromStr for EngineSocket {
    type Err = InvalidEngineSocket;

    fn from_str(text: &str) -> Result<Self, InvalidEngineSocket> {
        let is_path = |path: &str| {
            path.starts_with('/')
                && (2..=Self::MAX_PATH).contains(&path.len())
                && !path.ends_with('/')
                && !path.chars().any(|c| c.is_control() || c.is_whitespace())
        };
        let is_valid = text.strip_prefix("unix://").is_some_and(is_path);
        is_valid
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| InvalidEngineSocket { given: truncated(text) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtime_names_are_validated() {
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
    fn engine_sockets_are_validated() {
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
