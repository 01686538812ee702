//! `[[platform]]`.

use protocol::ids::Name;
use protocol::spec::{
    Acceleration, BridgeSpec, ContainerNetwork, DockerSpec, Engine, FakeFailure, FakeSpec, GuestNetwork, GuestSpec,
    LxcSpec, NativeSpec, PlatformKind, PlatformSpec, UserNetSpec,
};
use protocol::toml::{Fault, Problem, TableCheck, Unique, each, value};

use crate::config::Platform;
use crate::config::raw::{RawExperiment, RawPlatform};

/// Checks every `[[platform]]`; `None`: a problem is reported.
pub(super) fn check(raw: &RawExperiment, problems: &mut Vec<Problem>) -> Option<Vec<Platform>> {
    let none = ("[[platform]]", "add [[platform]] and kind = \"native\" below it");
    each(&raw.platforms, &raw.file, none, problems, one)
}

/// The name a platform has or would have by its kind, as far as that can be said.
pub(super) fn name_of(raw: &RawPlatform) -> Option<Name> {
    raw.name.value().or_else(|| raw.kind.value())?.parse().ok()
}

fn one(raw: &RawPlatform, taken: &mut Unique, problems: &mut Vec<Problem>) -> Option<Platform> {
    let kinds = PlatformKind::ALL.map(|kind| (kind.as_str(), kind));
    let mut table = TableCheck::new(&raw.section, problems);
    let kind = table.required(&raw.kind, "kind = \"native\"", value::choice(&kinds));
    let name = table.name_or_kind(&raw.name, &raw.kind, taken);
    let optional = table.or(&raw.optional, false, value::any);
    let kind = kind?;
    forbid_others(raw, kind, &mut table);
    let spec = match kind {
        PlatformKind::Native => Some(PlatformSpec::Native(NativeSpec {})),
        PlatformKind::Docker => container(raw, &mut table).map(PlatformSpec::Docker),
        PlatformKind::Lxc => Some(PlatformSpec::Lxc(LxcSpec {})),
        PlatformKind::Osv => guest(raw, kind, &mut table).map(PlatformSpec::Osv),
        PlatformKind::Includeos => guest(raw, kind, &mut table).map(PlatformSpec::Includeos),
        PlatformKind::LinuxVm => guest(raw, kind, &mut table).map(PlatformSpec::LinuxVm),
        PlatformKind::Guest => guest(raw, kind, &mut table).map(PlatformSpec::Guest),
        PlatformKind::Fake => fake(raw, &mut table).map(PlatformSpec::Fake),
    };
    Some(Platform {
        name: name?,
        spec: spec?,
        optional: optional?,
    })
}

/// Reports keys of other kinds.
fn forbid_others(raw: &RawPlatform, kind: PlatformKind, table: &mut TableCheck<'_>) {
    if kind != PlatformKind::Docker {
        forbid_container_keys(raw, table);
    }
    if !is_guest(kind) {
        forbid_guest_keys(raw, table);
    }
    if kind != PlatformKind::Docker && !is_guest(kind) {
        let what = "this key is for kind = \"docker\" and for guests";
        table.forbid(&raw.network, what, "remove it");
    }
    if kind != PlatformKind::Fake {
        let what = "this key is for kind = \"fake\"";
        table.forbid(&raw.start_ms, what, "remove it");
        table.forbid(&raw.fail, what, "remove it");
    }
}

fn fake(raw: &RawPlatform, table: &mut TableCheck<'_>) -> Option<FakeSpec> {
    let failures = [
        ("probe", FakeFailure::Probe),
        ("prepare", FakeFailure::Prepare),
        ("start", FakeFailure::Start),
        ("ready", FakeFailure::Ready),
        ("exit", FakeFailure::Exit),
        ("teardown", FakeFailure::Teardown),
    ];
    let start_ms = table.or(&raw.start_ms, 0, value::integer("a start", 0..=3_600_000, 10));
    let fail = table.optional(&raw.fail, value::choice(&failures));
    Some(FakeSpec {
        start_ms: start_ms?,
        fail: fail?,
    })
}

/// Checks the keys of containers.
fn container(raw: &RawPlatform, table: &mut TableCheck<'_>) -> Option<DockerSpec> {
    let engines = [("docker", Engine::Docker), ("podman", Engine::Podman)];
    let networks = [
        ("engine", ContainerNetwork::Engine),
        ("bridge", ContainerNetwork::Bridge),
    ];
    let engine = table.or(&raw.engine, Engine::Docker, value::choice(&engines));
    let network = table.or(&raw.network, ContainerNetwork::Engine, value::choice(&networks));
    let runtime = table.optional(&raw.runtime, |text| {
        text.parse()
            .map_err(|_| Fault::new("invalid runtime name", "write e.g. runtime = \"runsc\""))
    });
    let socket = table.optional(&raw.socket, |text| {
        let remedy = "write it like \"unix:///run/podman/podman.sock\": an engine of the runner's own host";
        text.parse().map_err(|_| Fault::new("invalid engine socket", remedy))
    });
    let publish = table.or(&raw.publish, false, value::any);
    let image = table.optional(&raw.image, |text| {
        plain(text, "./:@_-", 255)
            .ok_or_else(|| Fault::new("invalid image name", "write e.g. image = \"registry/name:tag\""))
    });
    if (network, publish) == (Some(ContainerNetwork::Bridge), Some(true)) {
        let fault = Fault::new(
            "no port is published on the runner's bridge",
            "remove it, or write network = \"engine\"",
        );
        table.error(&raw.publish, fault);
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

/// Reports keys of containers under another kind.
fn forbid_container_keys(raw: &RawPlatform, table: &mut TableCheck<'_>) {
    let what = "this key is for kind = \"docker\"";
    table.forbid(&raw.engine, what, "remove it");
    table.forbid(&raw.socket, what, "remove it");
    table.forbid(&raw.runtime, what, "remove it");
    table.forbid(&raw.publish, what, "remove it");
    table.forbid(&raw.image, what, "remove it");
}

/// A word of letters, digits and some signs that does not begin like an option.
fn plain(text: &str, signs: &str, longest: usize) -> Option<String> {
    let good = (1..=longest).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || signs.contains(c))
        && !text.starts_with('-');
    good.then(|| text.to_owned())
}

/// Whether a kind is a guest.
const fn is_guest(kind: PlatformKind) -> bool {
    default_guest(kind).is_some() || matches!(kind, PlatformKind::Guest)
}

/// The description that a kind uses if none is named.
const fn default_guest(kind: PlatformKind) -> Option<&'static str> {
    match kind {
        PlatformKind::Osv => Some("osv"),
        PlatformKind::Includeos => Some("includeos"),
        PlatformKind::LinuxVm => Some("linux"),
        _ => None,
    }
}

/// Checks the keys of a guest.
fn guest(raw: &RawPlatform, kind: PlatformKind, table: &mut TableCheck<'_>) -> Option<GuestSpec> {
    let default: Option<Name> = default_guest(kind).and_then(|name| name.parse().ok());
    let guest = match default {
        Some(default) => table.or(&raw.guest, default, value::name),
        None => table.required(
            &raw.guest,
            "guest = \"hermit\", a description on the runner's host",
            value::name,
        ),
    };
    let accelerations = [
        ("kvm", Acceleration::Kvm),
        ("tcg", Acceleration::Tcg),
        ("auto", Acceleration::Auto),
    ];
    let acceleration = table.or(&raw.acceleration, Acceleration::Kvm, value::choice(&accelerations));
    let vcpus = table.optional(&raw.vcpus, value::integer("a number of virtual CPUs", 1..=255, 1));
    let network = network(raw, table);
    Some(GuestSpec {
        guest: guest?,
        acceleration: acceleration?,
        network: network?,
        vcpus: vcpus?,
    })
}

fn network(raw: &RawPlatform, table: &mut TableCheck<'_>) -> Option<GuestNetwork> {
    let vhost = table.or(&raw.vhost, false, value::any);
    let bridged = table.or(&raw.network, true, value::choice(&[("bridge", true), ("user", false)]))?;
    if bridged {
        return Some(GuestNetwork::Bridge(BridgeSpec { vhost: vhost? }));
    }
    if vhost? {
        let fault = Fault::new("vhost-net needs a bridge", "remove it, or write network = \"bridge\"");
        table.error(&raw.vhost, fault);
        return None;
    }
    Some(GuestNetwork::User(UserNetSpec {}))
}

/// Reports keys of guests under another kind.
fn forbid_guest_keys(raw: &RawPlatform, table: &mut TableCheck<'_>) {
    let what = "this key is for guests, kind = \"osv\", \"includeos\", \"linux-vm\" or \"guest\"";
    let remedy = "remove it";
    table.forbid(&raw.guest, what, remedy);
    table.forbid(&raw.vhost, what, remedy);
    table.forbid(&raw.acceleration, what, remedy);
    table.forbid(&raw.vcpus, what, remedy);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::testing::platforms;
    use crate::config::{Overrides, parse};

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
    fn keys_of_containers_that_do_not_fit_are_reported() {
        let bad = "[[platform]]\nkind = 'docker'\nnetwork = 'bridge'\npublish = true\n\
                   [[platform]]\nkind = 'docker'\nname = 'b'\nnetwork = 'user'\nruntime = '--privileged'\nvhost = true\nsocket = 'tcp://10.0.0.1:2375'\n\
                   [[platform]]\nkind = 'native'\nruntime = 'runsc'\nnetwork = 'bridge'\n";
        insta::assert_snapshot!(platforms(bad).unwrap_err());
    }

    #[test]
    fn a_kind_is_enough() {
        let platforms = platforms("[[platform]]\nkind = 'osv'\n[[platform]]\nkind = 'linux-vm'\n").unwrap();
        let expected = |guest: &str| GuestSpec {
            guest: guest.parse().unwrap(),
            acceleration: Acceleration::Kvm,
            network: GuestNetwork::Bridge(BridgeSpec { vhost: false }),
            vcpus: None,
        };
        assert_eq!(
            platforms,
            [
                PlatformSpec::Osv(expected("osv")),
                PlatformSpec::LinuxVm(expected("linux"))
            ]
        );
    }

    #[test]
    fn keys_of_guests_that_do_not_fit_are_reported() {
        let bad = "[[platform]]\nkind = 'guest'\nnetwork = 'user'\nvhost = true\nacceleration = 'kvmm'\nvcpus = 0\n\
                   [[platform]]\nkind = 'native'\nguest = 'osv'\nvcpus = 2\n";
        insta::assert_snapshot!(platforms(bad).unwrap_err(), @r#"
        x.toml:10: [[platform]] 1: guest: this key is missing; write e.g. guest = "hermit", a description on the runner's host
        x.toml:13: [[platform]] 1: vhost = true: vhost-net needs a bridge; remove it, or write network = "bridge"
        x.toml:14: [[platform]] 1: acceleration = 'kvmm': unknown value; did you mean "kvm"?
        x.toml:15: [[platform]] 1: vcpus = 0: a number of virtual CPUs is 1 to 255; write e.g. 1
        x.toml:18: [[platform]] 2: guest = 'osv': this key is for guests, kind = "osv", "includeos", "linux-vm" or "guest"; remove it
        x.toml:19: [[platform]] 2: vcpus = 2: this key is for guests, kind = "osv", "includeos", "linux-vm" or "guest"; remove it
        "#);
    }

    #[test]
    fn the_experiment_of_this_repository_is_good() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/guests.toml");
        let text = std::fs::read_to_string(path).unwrap();
        let checked = parse("guests.toml", &text, &Overrides::default()).unwrap();
        assert_eq!(checked.experiment.platforms.len(), 5);
        assert_eq!(checked.warnings, []);
    }
}
