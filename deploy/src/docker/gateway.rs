//! The address by which containers on the engine's own network reach this host.
//!
//! It is the address of the bridge interface: from its first start on an empty data root until its first restart, Docker 20.10 reports a subnet of its
//! network `bridge` and no gateway. The gateway that the engine reports is used if the bridge does not exist: Podman creates it with the first container,
//! and always reports its gateway.

use std::net::Ipv4Addr;

use bollard::models::{IpamConfig, NetworkInspect, SystemInfo};
use bollard::query_parameters::InspectNetworkOptions;

use super::address::Address;
use super::engine::{engine_error, is_missing};
use crate::DeployError;
use crate::network::interface;

/// The engine's default network. Podman accepts this name for its own default, `podman`.
const NETWORK: &str = "bridge";

/// The remedy if containers do not reach this host.
const REMEDY: &str = "put the containers on the runner's bridge (network = \"bridge\"), or set a broker that they reach (kafka = \"HOST:PORT\")";

/// This host's address on the containers' network.
///
/// It is an IPv4 address: services in containers listen on IPv4 only.
///
/// # Errors
/// Those of the engine, and [`DeployError::Unmet`] if containers do not reach this host.
pub(super) async fn of_host(docker: &bollard::Docker, address: &Address) -> Result<Ipv4Addr, DeployError> {
    let info = docker.info().await.map_err(|error| engine_error(&error))?;
    if is_rootless(&info) {
        return Err(unreachable("a rootless engine hides this host from its containers"));
    }
    if is_in_another_namespace(address) {
        return Err(DeployError::Unmet {
            need: format!(
                "the engine at {} is in another network namespace than the runner",
                address.at
            ),
            remedy:
                "start the runner in the engine's namespace (`nsenter --net=/proc/PID/ns/net`, with the engine's PID)"
                    .into(),
        });
    }
    let network = docker.inspect_network(NETWORK, None::<InspectNetworkOptions>).await;
    let network = network.map_err(|error| match is_missing(&error) {
        true => unreachable("the engine has no network `bridge` (`--bridge none`)"),
        false => engine_error(&error),
    })?;
    let name = interface_of(&network);
    let on_interface = interface::addresses(&name).map_err(|source| DeployError::Io {
        what: format!("reading the addresses of {name}"),
        source,
    })?;
    choose(&network, &on_interface).ok_or_else(|| {
        unreachable(&format!(
            "the engine's network `bridge` has no IPv4 gateway, and its interface {name} has no address in it"
        ))
    })
}

fn unreachable(need: &str) -> DeployError {
    DeployError::Unmet {
        need: need.to_owned(),
        remedy: REMEDY.to_owned(),
    }
}

/// Whether its containers are in a namespace of their own, in which the bridge's address is not this host's. Docker and Podman report it in the same way.
fn is_rootless(info: &SystemInfo) -> bool {
    let options = info.security_options.iter().flatten();
    options
        .flat_map(|option| option.split(','))
        .any(|word| word == "name=rootless")
}

/// Whether the listening process is in another network namespace than this thread. If that cannot be read, it is assumed not to be.
fn is_in_another_namespace(address: &Address) -> bool {
    let of = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).ok();
    let engine = address.listener().and_then(|pid| of(&pid.to_string()));
    engine.is_some_and(|engine| of("thread-self").is_some_and(|own| own != engine))
}

/// The name of a network's bridge: an option of the network, or derived from its id.
fn interface_of(network: &NetworkInspect) -> String {
    let options = network.options.as_ref();
    let named = options.and_then(|options| options.get("com.docker.network.bridge.name"));
    named.cloned().unwrap_or_else(|| {
        let id = network.id.as_deref().unwrap_or_default();
        format!("br-{}", id.get(..12).unwrap_or(id))
    })
}

/// The interface's address in the network, or else the gateway that the engine reports.
///
/// The interface may belong to another engine, so its addresses are compared with the subnets. It takes precedence over the gateway, which need not be
/// this host (option `com.docker.network.bridge.inhibit_ipv4`).
fn choose(network: &NetworkInspect, on_interface: &[Ipv4Addr]) -> Option<Ipv4Addr> {
    let configs: &[IpamConfig] = network.ipam.as_ref()?.config.as_deref()?;
    let subnets = || configs.iter().filter_map(|config| subnet(config.subnet.as_deref()?));
    let is_own = |address: Ipv4Addr| subnets().any(|(first, mask)| address & mask == first & mask);
    let here = on_interface.iter().copied().find(|&address| is_own(address));
    let gateway = || {
        configs
            .iter()
            .find_map(|config| config.gateway.as_deref()?.parse().ok())
    };
    here.or_else(gateway)
}

/// The first address and the mask of an IPv4 network such as `172.17.0.0/16`.
fn subnet(text: &str) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let (first, bits) = text.split_once('/')?;
    let bits: u32 = bits.parse().ok().filter(|&bits| bits <= 32)?;
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    Some((first.parse().ok()?, Ipv4Addr::from_bits(mask)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A reply of `docker network inspect`.
    fn network(configs: &Value, options: &Value) -> NetworkInspect {
        serde_json::from_value(json!({
            "Name": "bridge",
            "Id": "64c548404283b86030572b94dab7d7730988ac38e2020dd04a0bcc108e27c46e",
            "IPAM": {"Driver": "default", "Options": null, "Config": configs},
            "Options": options,
        }))
        .unwrap()
    }

    fn chosen(configs: &Value, on_interface: &[&str]) -> Option<String> {
        let on_interface: Vec<_> = on_interface.iter().map(|text| text.parse().unwrap()).collect();
        choose(&network(configs, &json!({})), &on_interface).map(|address| address.to_string())
    }

    #[test]
    fn the_interface_overrides_the_engine() {
        let first_start = json!([{"Subnet": "172.17.0.0/16"}]);
        assert_eq!(chosen(&first_start, &["172.17.0.1"]).unwrap(), "172.17.0.1");
        let restarted = json!([{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}]);
        assert_eq!(chosen(&restarted, &["172.17.0.1"]).unwrap(), "172.17.0.1");
        let bip_and_another = json!([{"Subnet": "10.9.1.0/24", "Gateway": "10.9.1.5"}]);
        assert_eq!(
            chosen(&bip_and_another, &["192.0.2.1", "10.9.1.5"]).unwrap(),
            "10.9.1.5"
        );
        let router = json!([{"Subnet": "10.9.1.0/24", "Gateway": "10.9.1.254"}]);
        assert_eq!(chosen(&router, &["10.9.1.2"]).unwrap(), "10.9.1.2");
    }

    #[test]
    fn the_engines_gateway_is_used_without_an_interface() {
        let podman = json!([{"Subnet": "10.88.0.0/16", "Gateway": "10.88.0.1"}]);
        assert_eq!(chosen(&podman, &[]).unwrap(), "10.88.0.1");
        assert_eq!(
            chosen(&podman, &["172.17.0.1"]).unwrap(),
            "10.88.0.1",
            "another engine's"
        );
    }

    #[test]
    fn ipv4_is_found_beside_ipv6() {
        let both = json!([{"Subnet": "fd00:9::/64", "Gateway": "fd00:9::1"}, {"Subnet": "10.9.0.0/24"}]);
        assert_eq!(chosen(&both, &["10.9.0.1"]).unwrap(), "10.9.0.1");
        let reported = json!([{"Subnet": "fd00:9::/64", "Gateway": "fd00:9::1"}, {"Subnet": "10.9.0.0/24", "Gateway": "10.9.0.1"}]);
        assert_eq!(chosen(&reported, &[]).unwrap(), "10.9.0.1");
        assert_eq!(
            chosen(&json!([{"Subnet": "fd00:9::/64", "Gateway": "fd00:9::1"}]), &[]),
            None
        );
        assert_eq!(chosen(&json!([]), &["172.17.0.1"]), None);
        assert_eq!(chosen(&json!(null), &["172.17.0.1"]), None);
    }

    #[test]
    fn subnets_are_parsed() {
        let own = |text: &str, address: &str| {
            let (first, mask) = subnet(text).unwrap();
            address.parse::<Ipv4Addr>().unwrap() & mask == first & mask
        };
        assert!(own("172.17.0.0/16", "172.17.255.1") && !own("172.17.0.0/16", "172.18.0.1"));
        assert!(own("0.0.0.0/0", "192.0.2.1") && !own("10.0.0.1/32", "10.0.0.2"));
        for bad in ["fd00::/64", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/x"] {
            assert_eq!(subnet(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_name_of_a_bridge_is_configured_or_derived() {
        let named = network(&json!([]), &json!({"com.docker.network.bridge.name": "docker0"}));
        assert_eq!(interface_of(&named), "docker0");
        assert_eq!(interface_of(&network(&json!([]), &json!({}))), "br-64c548404283");
        assert_eq!(interface_of(&NetworkInspect::default()), "br-");
    }

    #[test]
    fn a_rootless_engine_is_detected() {
        let with = |options: &[&str]| SystemInfo {
            security_options: Some(options.iter().map(ToString::to_string).collect()),
            ..SystemInfo::default()
        };
        assert!(is_rootless(&with(&["name=seccomp,profile=default", "name=rootless"])));
        assert!(!is_rootless(&with(&["name=seccomp,profile=default"])) && !is_rootless(&SystemInfo::default()));
    }
}
