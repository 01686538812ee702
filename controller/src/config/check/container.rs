//! `[[platform]]` of the kind that is containers.

use protocol::spec::{ContainerNetwork, DockerSpec, Engine};

use super::at::At;
use super::value;
use crate::config::problem::Fault;
use crate::config::raw::RawPlatform;

/// Checks the keys of containers.
pub(super) fn check(raw: &RawPlatform, at: &mut At<'_>) -> Option<DockerSpec> {
    let engines = [("docker", Engine::Docker), ("podman", Engine::Podman)];
    let networks = [
        ("engine", ContainerNetwork::Engine),
        ("bridge", ContainerNetwork::Bridge),
    ];
    let engine = at.or(&raw.engine, Engine::Docker, value::choice(&engines));
    let network = at.or(&raw.network, ContainerNetwork::Engine, value::choice(&networks));
    let runtime = at.optional(&raw.runtime, |text| {
        text.parse()
            .map_err(|_| Fault::new("invalid name of a runtime", "write e.g. runtime = \"runsc\""))
    });
    let socket = at.optional(&raw.socket, |text| {
        let remedy = "write it like \"unix:///run/podman/podman.sock\": an engine of the runner's own host";
        text.parse()
            .map_err(|_| Fault::new("this is no socket of an engine", remedy))
    });
    let publish = at.or(&raw.publish, false, value::any);
    let image = at.optional(&raw.image, |text| {
        plain(text, "./:@_-", 255)
            .ok_or_else(|| Fault::new("invalid name of an image", "write e.g. image = \"registry/name:tag\""))
    });
    if (network, publish) == (Some(ContainerNetwork::Bridge), Some(true)) {
        let fault = Fault::new(
            "on the runner's bridge no port is published",
            "leave it out, or write network = \"engine\"",
        );
        at.error(&raw.publish, fault);
        return None;
    }
    Some(DockerSpec {
        engine: engine?,
        network: network?,
        socket: socket?,
        runtime: runtime?,
        publish: publish?,
        image: image?,
    })
}

/// Keys of containers at another kind.
pub(super) fn foreign(raw: &RawPlatform, at: &mut At<'_>) {
    let what = "this key is for kind = \"docker\"";
    at.foreign(&raw.engine, what, "leave it out here");
    at.foreign(&raw.socket, what, "leave it out here");
    at.foreign(&raw.runtime, what, "leave it out here");
    at.foreign(&raw.publish, what, "leave it out here");
    at.foreign(&raw.image, what, "leave it out here");
}

/// A word of letters, digits and some signs that does not begin like an option.
fn plain(text: &str, signs: &str, longest: usize) -> Option<String> {
    let good = (1..=longest).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || signs.contains(c))
        && !text.starts_with('-');
    good.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use protocol::spec::PlatformSpec;

    use super::*;
    use crate::config::testing::platforms;

    #[test]
    fn containers_can_share_the_bridge_of_the_guests() {
        let text = "[[platform]]\nkind = 'docker'\n\
                    [[platform]]\nkind = 'docker'\nname = 'gvisor'\nengine = 'podman'\nsocket = 'unix:///run/p.sock'\nruntime = 'runsc'\nnetwork = 'bridge'\n";
        let expected = DockerSpec {
            engine: Engine::Podman,
            network: ContainerNetwork::Bridge,
            socket: Some("unix:///run/p.sock".parse().unwrap()),
            runtime: Some("runsc".parse().unwrap()),
            publish: false,
            image: None,
        };
        assert_eq!(
            platforms(text).unwrap(),
            [
                PlatformSpec::Docker(DockerSpec::default()),
                PlatformSpec::Docker(expected)
            ]
        );
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let bad = "[[platform]]\nkind = 'docker'\nnetwork = 'bridge'\npublish = true\n\
                   [[platform]]\nkind = 'docker'\nname = 'b'\nnetwork = 'user'\nruntime = '--privileged'\nvhost = true\nsocket = 'tcp://10.0.0.1:2375'\n\
                   [[platform]]\nkind = 'native'\nruntime = 'runsc'\nnetwork = 'bridge'\n";
        insta::assert_snapshot!(platforms(bad).unwrap_err());
    }
}
