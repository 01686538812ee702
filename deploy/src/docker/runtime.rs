//! The OCI runtime that makes a container: finding it before the run, and saying how it is got where it is missing.
//!
//! Docker lists the runtimes that it was told of. Podman lists all that it has ever heard of, installed or not, and its Docker-compatible service
//! makes every container with its default one, whatever a request asks for (measured with 4.3).

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bollard::models::{SystemInfo, SystemVersion};
use protocol::spec::{DockerSpec, Engine};

use crate::DeployError;

/// How long a runtime may take to say its version.
const PATIENCE: Duration = Duration::from_secs(3);

/// What makes the containers of a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Maker {
    /// Whether the engine is Podman.
    pub(super) is_podman: bool,
    /// What to ask the engine for; `None`: nothing, it has one way only or the default is wanted.
    pub(super) asked: Option<String>,
    /// The runtime's name, asked for or not.
    pub(super) name: String,
    /// Its program, as the engine calls it.
    pub(super) path: Option<String>,
    /// What the engine calls it with, e.g. gVisor's platform.
    pub(super) arguments: Vec<String>,
}

impl Maker {
    /// Chooses the runtime out of what the engine says of itself.
    ///
    /// # Errors
    /// [`DeployError::Unmet`]: the engine does not have it, or would take another.
    pub(super) fn choose(spec: &DockerSpec, info: &SystemInfo, version: &SystemVersion) -> Result<Self, DeployError> {
        let (wanted, is_podman) = (spec.runtime.as_ref(), is_podman(version));
        if is_podman != (spec.engine == Engine::Podman) {
            return Err(other_engine(is_podman));
        }
        let default = info.default_runtime.clone().unwrap_or_default();
        let name = wanted.map_or_else(|| default.clone(), ToString::to_string);
        let known = info.runtimes.clone().unwrap_or_default();
        let runtime = known.get(&name);
        if wanted.is_some() {
            match runtime {
                _ if is_podman && name != default => return Err(not_podmans(&name, &default)),
                None => return Err(missing(&name, known.keys().cloned().collect())),
                Some(_) => {}
            }
        }
        let path = runtime
            .and_then(|runtime| runtime.path.clone())
            .filter(|path| !path.is_empty());
        if let Some(path) = path
            .as_deref()
            .filter(|path| path.starts_with('/') && !Path::new(path).exists())
        {
            return Err(DeployError::Unmet {
                need: format!("the engine knows the runtime {name}, but its program {path} is not there"),
                remedy: format!("install it ({}), or name another runtime", package(&name)),
            });
        }
        Ok(Self {
            is_podman,
            asked: wanted.filter(|_| !is_podman).map(ToString::to_string),
            arguments: runtime
                .and_then(|runtime| runtime.runtime_args.clone())
                .unwrap_or_default(),
            path,
            name,
        })
    }

    /// What tells this runtime from another, for the facts.
    pub(super) async fn details(&self) -> BTreeMap<String, String> {
        let mut details = BTreeMap::new();
        let mut put = |key: &str, value: Option<String>| {
            value
                .filter(|value| !value.is_empty())
                .map(|value| details.insert(key.to_owned(), value));
        };
        put("runtime", Some(self.name.clone()));
        put("runtime_arguments", Some(self.arguments.join(" ")));
        put("runtime_path", self.path.clone());
        // One without a slash is looked up by the engine, perhaps not where we would.
        if let Some(path) = self.path.as_deref().filter(|path| path.starts_with('/')) {
            put("runtime_version", version_of(path).await);
        }
        details
    }
}

/// Whether the engine is Podman behind Docker's words.
fn is_podman(version: &SystemVersion) -> bool {
    let components = version.components.iter().flatten();
    components
        .into_iter()
        .any(|component| component.name == "Podman Engine")
}

/// The first line that a runtime says to `--version`.
async fn version_of(path: &str) -> Option<String> {
    let mut command = tokio::process::Command::new(path);
    command
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.ok()?.ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Some(text.lines().next()?.trim().to_owned())
}

fn other_engine(is_podman: bool) -> DeployError {
    let (whose, word) = if is_podman {
        ("Podman's", "podman")
    } else {
        ("Docker's", "docker")
    };
    DeployError::Unmet {
        need: format!("the engine that answers is {whose}"),
        remedy: format!("write engine = \"{word}\" at this platform, or name the other's `socket`"),
    }
}

fn missing(name: &str, mut known: Vec<String>) -> DeployError {
    known.sort();
    DeployError::Unmet {
        need: format!("the Docker engine has no runtime {name} (it has {})", known.join(", ")),
        remedy: format!(
            "install it ({}), add {{\"runtimes\": {{\"{name}\": {{\"path\": \"/usr/bin/{name}\"}}}}}} to /etc/docker/daemon.json, then `systemctl reload docker`",
            package(name)
        ),
    }
}

fn not_podmans(name: &str, default: &str) -> DeployError {
    DeployError::Unmet {
        need: format!(
            "this Podman makes every container with {default}: its Docker-compatible service passes no other runtime on"
        ),
        remedy: format!(
            "start a service for {name} beside it, `podman --runtime {name} system service --time=0 unix:///run/podman/{name}.sock`, and name that as `socket`"
        ),
    }
}

/// How Debian calls what holds a runtime.
fn package(name: &str) -> String {
    match name {
        "runc" | "crun" | "runsc" => format!("`deploy/setup.sh {name}`, Debian's package {name}"),
        _ => "see its own documentation".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(json: serde_json::Value) -> SystemInfo {
        serde_json::from_value(json).unwrap()
    }

    fn docker() -> SystemVersion {
        serde_json::from_value(serde_json::json!({"Components": [{"Name": "Engine", "Version": "20.10.24"}]})).unwrap()
    }

    fn podman() -> SystemVersion {
        let json = serde_json::json!({"Components": [{"Name": "Podman Engine", "Version": "4.3.1"}]});
        serde_json::from_value(json).unwrap()
    }

    fn choose(wanted: &str, version: &SystemVersion) -> Result<Maker, String> {
        let info = info(serde_json::json!({
            "DefaultRuntime": "runc",
            "Runtimes": {
                "runc": {"path": "runc"},
                "gvisor": {"path": "/bin/sh", "runtimeArgs": ["--platform=kvm"]},
                "gone": {"path": "/nowhere/gone"},
            },
        }));
        let spec = DockerSpec {
            engine: if is_podman(version) {
                Engine::Podman
            } else {
                Engine::Docker
            },
            runtime: (!wanted.is_empty()).then(|| wanted.parse().unwrap()),
            ..DockerSpec::default()
        };
        Maker::choose(&spec, &info, version).map_err(|error| error.to_string())
    }

    #[test]
    fn without_a_word_it_is_the_default() {
        for version in [docker(), podman()] {
            let maker = choose("", &version).unwrap();
            assert_eq!((maker.asked, maker.name.as_str()), (None, "runc"));
        }
    }

    #[test]
    fn one_that_the_engine_has_is_asked_for() {
        let maker = choose("gvisor", &docker()).unwrap();
        assert_eq!(maker.asked.as_deref(), Some("gvisor"));
        assert_eq!(maker.arguments, ["--platform=kvm"]);
    }

    #[test]
    fn one_that_the_engine_does_not_have_comes_with_the_remedy() {
        let error = choose("crun", &docker()).unwrap_err();
        for words in [
            "no runtime crun (it has gone, gvisor, runc)",
            "setup.sh crun",
            "daemon.json",
            "/usr/bin/crun",
        ] {
            assert!(error.contains(words), "{error}");
        }
        let error = choose("gone", &docker()).unwrap_err();
        assert!(error.contains("/nowhere/gone is not there"), "{error}");
    }

    #[test]
    fn podman_passes_on_none_but_its_own() {
        let maker = choose("runc", &podman()).unwrap();
        assert_eq!((maker.is_podman, maker.asked), (true, None));
        let error = choose("gvisor", &podman()).unwrap_err();
        assert!(
            error.contains("every container with runc") && error.contains("podman --runtime gvisor"),
            "{error}"
        );
    }

    #[test]
    fn an_engine_that_is_another_than_said_is_refused() {
        let error = Maker::choose(&DockerSpec::default(), &SystemInfo::default(), &podman()).unwrap_err();
        assert!(error.to_string().contains("engine = \"podman\""), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_has_no_version() {
        assert_eq!(version_of("/nowhere/runc").await, None);
        let maker = choose("gvisor", &docker()).unwrap();
        assert_eq!(maker.details().await["runtime_arguments"], "--platform=kvm");
    }
}
