//! `[[platform]]` of the kinds that are guests under QEMU.

use protocol::ids::Name;
use protocol::spec::{Acceleration, BridgeSpec, GuestNetwork, GuestSpec, PlatformKind, UserNetSpec};

use super::at::At;
use super::value;
use crate::config::problem::Fault;
use crate::config::raw::RawPlatform;

/// Whether a kind is a guest.
pub(super) const fn is_guest(kind: PlatformKind) -> bool {
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
pub(super) fn check(raw: &RawPlatform, kind: PlatformKind, at: &mut At<'_>) -> Option<GuestSpec> {
    let default: Option<Name> = default_guest(kind).and_then(|name| name.parse().ok());
    let guest = match default {
        Some(default) => at.or(&raw.guest, default, value::name),
        None => at.required(
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
    let acceleration = at.or(&raw.acceleration, Acceleration::Kvm, value::choice(&accelerations));
    let vcpus = at.optional(&raw.vcpus, value::whole("a number of virtual CPUs", 1..=255, 1));
    let network = network(raw, at);
    Some(GuestSpec {
        guest: guest?,
        acceleration: acceleration?,
        network: network?,
        vcpus: vcpus?,
    })
}

fn network(raw: &RawPlatform, at: &mut At<'_>) -> Option<GuestNetwork> {
    let vhost = at.or(&raw.vhost, false, value::any);
    let bridged = at.or(&raw.network, true, value::choice(&[("bridge", true), ("user", false)]))?;
    if bridged {
        return Some(GuestNetwork::Bridge(BridgeSpec { vhost: vhost? }));
    }
    if vhost? {
        let fault = Fault::new(
            "vhost-net moves packets of a bridge only",
            "leave it out, or write network = \"bridge\"",
        );
        at.error(&raw.vhost, fault);
        return None;
    }
    Some(GuestNetwork::User(UserNetSpec {}))
}

/// Keys of guests at another kind.
pub(super) fn foreign(raw: &RawPlatform, at: &mut At<'_>) {
    let what = "this key is for guests: kind = \"osv\", \"includeos\", \"linux-vm\" or \"guest\"";
    let remedy = "leave it out here";
    at.foreign(&raw.guest, what, remedy);
    at.foreign(&raw.vhost, what, remedy);
    at.foreign(&raw.acceleration, what, remedy);
    at.foreign(&raw.vcpus, what, remedy);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use protocol::spec::PlatformSpec;

    use super::*;
    use crate::config::testing::platforms;
    use crate::config::{Overrides, parse};

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
    fn what_does_not_fit_is_said() {
        let bad = "[[platform]]\nkind = 'guest'\nnetwork = 'user'\nvhost = true\nacceleration = 'kvmm'\nvcpus = 0\n\
                   [[platform]]\nkind = 'native'\nguest = 'osv'\nvcpus = 2\n";
        insta::assert_snapshot!(platforms(bad).unwrap_err(), @r#"
        x.toml:10: [[platform]] 1: guest: this key is missing; write e.g. guest = "hermit", a description on the runner's host
        x.toml:13: [[platform]] 1: vhost = true: vhost-net moves packets of a bridge only; leave it out, or write network = "bridge"
        x.toml:14: [[platform]] 1: acceleration = 'kvmm': unknown value; did you mean "kvm"?
        x.toml:15: [[platform]] 1: vcpus = 0: a number of virtual CPUs is 1 to 255; write e.g. 1
        x.toml:18: [[platform]] 2: guest = 'osv': this key is for guests: kind = "osv", "includeos", "linux-vm" or "guest"; leave it out here
        x.toml:19: [[platform]] 2: vcpus = 2: this key is for guests: kind = "osv", "includeos", "linux-vm" or "guest"; leave it out here
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
