//! The OCI runtime of the containers: found before the run, with a remedy if it is missing.
//!
//! Docker lists the runtimes that are configured. Podman lists all that it knows, installed or not, and its Docker-compatible service uses the default
//! one for every container, whatever a request asks for (measured with 4.3).

use std::collections::BTreeMap;
use std::path::Path;

use bollard::models::{SystemInfo, SystemVersion};
use protocol::spec::{DockerSpec, Engine};

use crate::{DeployError, programs};

/// The OCI runtime of a deployment's containers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Runtime {
    /// Whether the engine is Podman.
    pub(super) is_podman: bool,
    /// The runtime that is requested from the engine; `None`: its default.
    pub(super) requested: Option<String>,
    /// Its name, requested or not.
    pub(super) name: String,
    /// Its program, as the engine names it.
    pub(super) path: Option<String>,
    /// The arguments that the engine passes, e.g. gVisor's platform.
    pub(super) arguments: Vec<String>,
}

impl Runtime {
    /// Chooses the runtime from what the engine reports.
    ///
    /// # Errors
    /// [`DeployError::Unmet`] if the engine does not have it, or would use another.
    pub(super) fn choose(spec: &DockerSpec, info: &SystemInfo, version: &SystemVersion) -> Result<Self, DeployError> {
        let (wanted, is_podman) = (spec.runtime.as_ref(), is_podman(version));
        if is_podman != (spec.engine == Engine::Podman) {
            return Err(wrong_engine(is_podman));
        }
        let default = info.default_runtime.clone().unwrap_or_default();
        let name = wanted.map_or_else(|| default.clone(), ToString::to_string);
        let known = info.runtimes.clone().unwrap_or_default();
        let runtime = known.get(&name);
        if wanted.is_some() {
            match runtime {
                _ if is_podman && name != default => return Err(not_the_default(&name, &default)),
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
                need: format!("the runtime {name} is configured, but its program {path} is missing"),
                remedy: format!("install it ({}), or name another runtime", package(&name)),
            });
        }
        Ok(Self {
            is_podman,
            requested: wanted.filter(|_| !is_podman).map(ToString::to_string),
            arguments: runtime
                .and_then(|runtime| runtime.runtime_args.clone())
                .unwrap_or_default(),
            path,
            name,
        })
    }

    /// Its facts.
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
        // The engine looks up a name without a slash, perhaps in another PATH.
        if let Some(path) = self.path.as_deref().filter(|path| path.starts_with('/')) {
            put("runtime_version", programs::version(Path::new(path)).await);
        }
        details
    }
}

/// Whether the engine is Podman's Docker-compatible service.
fn is_podman(version: &SystemVersion) -> bool {
    let components = version.components.iter().flatten();
    components
        .into_iter()
        .any(|component| component.name == "Podman Engine")
}

fn wrong_engine(is_podman: bool) -> DeployError {
    let (whose, word) = if is_podman {
        ("Podman's", "podman")
    } else {
        ("Docker's", "docker")
    };
    DeployError::Unmet {
        need: format!("the engine at this socket is {whose}"),
        remedy: format!("set engine = \"{word}\" for this platform, or `socket` to the other engine's"),
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

fn not_the_default(name: &str, default: &str) -> DeployError {
    DeployError::Unmet {
        need: format!(
            "Podman uses the runtime {default} for every container: its Docker-compatible service ignores the requested one"
        ),
        remedy: format!(
            "start another service with `podman --runtime {name} system service --time=0 unix:///run/podman/{name}.sock`, and set `socket` to it"
        ),
    }
}

/// How to install a runtime.
fn package(name: &str) -> String {
    match name {
        "runc" | "crun" | "runsc" => format!("`deploy/setup.sh {name}`, Debian's package {name}"),
        _ => "see its documentation".to_owned(),
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

    fn choose(wanted: &str, version: &SystemVersion) -> Result<Runtime, String> {
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
        Runtime::choose(&spec, &info, version).map_err(|error| error.to_string())
    }

    #[test]
    fn the_default_is_used_unless_another_is_requested() {
        for version in [docker(), podman()] {
            let runtime = choose("", &version).unwrap();
            assert_eq!((runtime.requested, runtime.name.as_str()), (None, "runc"));
        }
    }

    #[test]
    fn a_configured_runtime_is_requested() {
        let runtime = choose("gvisor", &docker()).unwrap();
        assert_eq!(runtime.requested.as_deref(), Some("gvisor"));
        assert_eq!(runtime.arguments, ["--platform=kvm"]);
    }

    #[test]
    fn a_missing_runtime_comes_with_a_remedy() {
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
        assert!(error.contains("/nowhere/gone is missing"), "{error}");
    }

    #[test]
    fn podman_uses_only_its_default() {
        let runtime = choose("runc", &podman()).unwrap();
        assert_eq!((runtime.is_podman, runtime.requested), (true, None));
        let error = choose("gvisor", &podman()).unwrap_err();
        assert!(
            error.contains("runc for every container") && error.contains("podman --runtime gvisor"),
            "{error}"
        );
    }

    #[test]
    fn the_wrong_engine_is_refused() {
        let error = Runtime::choose(&DockerSpec::default(), &SystemInfo::default(), &podman()).unwrap_err();
        assert!(error.to_string().contains("engine = \"podman\""), "{error}");
    }

    #[tokio::test]
    async fn a_missing_program_has_no_version() {
        assert_eq!(programs::version(Path::new("/nowhere/runc")).await, None);
        let runtime = choose("gvisor", &docker()).unwrap();
        assert_eq!(runtime.details().await["runtime_arguments"], "--platform=kvm");
    }
}
