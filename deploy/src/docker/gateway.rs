//! The address under which containers on the engine's own network reach this host.
//!
//! The kernel is asked first, for the address of the bridge: from its first start on an empty data root until it is restarted, Docker 20.10
//! tells a subnet of its network `bridge` and no gateway. The engine's answer counts where its bridge is not here: Podman makes it with the
//! first container, and tells its gateway always.

use std::net::Ipv4Addr;

use bollard::models::{IpamConfig, NetworkInspect, SystemInfo};
use bollard::query_parameters::InspectNetworkOptions;

use super::address::Address;
use super::engine::{is_missing, said};
use crate::DeployError;
use crate::network::interface;

/// The engine's default network. Podman takes this for its own default's name, which is `podman`.
const NETWORK: &str = "bridge";

/// What helps wherever containers do not reach this host.
const ELSEWHERE: &str = "put the containers on the runner's bridge (network = \"bridge\"), or name a broker that they reach (kafka = \"HOST:PORT\")";

/// This host's address on the network that containers are put on.
///
/// Only IPv4 counts, since services in containers listen on it alone.
///
/// # Errors
/// The engine's, and [`DeployError::Unmet`] where containers do not reach this host.
pub(super) async fn of_host(docker: &bollard::Docker, address: &Address) -> Result<Ipv4Addr, DeployError> {
    let info = docker.info().await.map_err(|error| said(&error))?;
    if is_rootless(&info) {
        return Err(unreachable("a rootless engine hides this host from its containers"));
    }
    if is_in_another_namespace(address) {
        return Err(DeployError::Unmet {
            need: format!(
                "the engine at {} is in another network namespace than the runner",
                address.at
            ),
            remedy: "start the runner in the engine's (`nsenter --net=/proc/PID/ns/net`, with the engine's PID)".into(),
        });
    }
    let network = docker.inspect_network(NETWORK, None::<InspectNetworkOptions>).await;
    let network = network.map_err(|error| match is_missing(&error) {
        true => unreachable("the engine has no network `bridge` (`--bridge none`)"),
        false => said(&error),
    })?;
    let name = interface_of(&network);
    let on_interface = interface::addresses(&name).map_err(|source| DeployError::Io {
        what: format!("the addresses of {name}"),
        source,
    })?;
    choose(&network, &on_interface).ok_or_else(|| {
        unreachable(&format!(
            "the engine's network `bridge` has no IPv4 gateway, and its interface {name} no address of it"
        ))
    })
}

fn unreachable(need: &str) -> DeployError {
    DeployError::Unmet {
        need: need.to_owned(),
        remedy: ELSEWHERE.to_owned(),
    }
}

/// Its containers are in a namespace of its own, in which the bridge's address is not this host's. Docker and Podman say it alike.
fn is_rootless(info: &SystemInfo) -> bool {
    let options = info.security_options.iter().flatten();
    options
        .flat_map(|option| option.split(','))
        .any(|word| word == "name=rootless")
}

/// Whether the process that listens is known to be in another network namespace than this thread; whose is hidden from us counts as here.
fn is_in_another_namespace(address: &Address) -> bool {
    let of = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).ok();
    let engines = address.listener().and_then(|pid| of(&pid.to_string()));
    engines.is_some_and(|engines| of("thread-self").is_some_and(|own| own != engines))
}

/// The name of a network's bridge: it is an option of the default network's, and of another's if somebody chose it.
fn interface_of(network: &NetworkInspect) -> String {
    let options = network.options.as_ref();
    let named = options.and_then(|options| options.get("com.docker.network.bridge.name"));
    named.cloned().unwrap_or_else(|| {
        let id = network.id.as_deref().unwrap_or_default();
        format!("br-{}", id.get(..12).unwrap_or(id))
    })
}

/// An address of the interface that is one of the network's, else the gateway that the engine tells.
///
/// An interface of that name may be another engine's, so its addresses are held against the subnets. One of the network's stands above the
/// gateway, which need not be this host (option `com.docker.network.bridge.inhibit_ipv4`).
fn choose(network: &NetworkInspect, on_interface: &[Ipv4Addr]) -> Option<Ipv4Addr> {
    let configs: &[IpamConfig] = network.ipam.as_ref()?.config.as_deref()?;
    let subnets = || configs.iter().filter_map(|config| subnet(config.subnet.as_deref()?));
    let is_own = |address: Ipv4Addr| subnets().any(|(first, mask)| address & mask == first & mask);
    let here = on_interface.iter().copied().find(|&address| is_own(address));
    let told = || {
        configs
            .iter()
            .find_map(|config| config.gateway.as_deref()?.parse().ok())
    };
    here.or_else(told)
}

/// First address and mask of an IPv4 network such as `172.17.0.0/16`.
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

    /// As `docker network inspect` tells it.
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
    fn the_kernels_address_counts_before_the_engines_word() {
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
    fn the_engines_word_counts_where_its_bridge_is_not_here() {
        let podman = json!([{"Subnet": "10.88.0.0/16", "Gateway": "10.88.0.1"}]);
        assert_eq!(chosen(&podman, &[]).unwrap(), "10.88.0.1");
        assert_eq!(
            chosen(&podman, &["172.17.0.1"]).unwrap(),
            "10.88.0.1",
            "another engine's"
        );
    }

    #[test]
    fn ipv4_is_found_beside_ipv6_and_ipv6_alone_is_none() {
        let both = json!([{"Subnet": "fd00:9::/64", "Gateway": "fd00:9::1"}, {"Subnet": "10.9.0.0/24"}]);
        assert_eq!(chosen(&both, &["10.9.0.1"]).unwrap(), "10.9.0.1");
        let told = json!([{"Subnet": "fd00:9::/64", "Gateway": "fd00:9::1"}, {"Subnet": "10.9.0.0/24", "Gateway": "10.9.0.1"}]);
        assert_eq!(chosen(&told, &[]).unwrap(), "10.9.0.1");
        assert_eq!(
            chosen(&json!([{"Subnet": "fd00:9::/64", "Gateway": "fd00:9::1"}]), &[]),
            None
        );
        assert_eq!(chosen(&json!([]), &["172.17.0.1"]), None);
        assert_eq!(chosen(&json!(null), &["172.17.0.1"]), None);
    }

    #[test]
    fn subnets_are_read() {
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
    fn a_bridge_has_the_name_that_it_was_given_or_its_networks() {
        let named = network(&json!([]), &json!({"com.docker.network.bridge.name": "docker0"}));
        assert_eq!(interface_of(&named), "docker0");
        assert_eq!(interface_of(&network(&json!([]), &json!({}))), "br-64c548404283");
        assert_eq!(interface_of(&NetworkInspect::default()), "br-");
    }

    #[test]
    fn a_rootless_engine_is_known() {
        let with = |options: &[&str]| SystemInfo {
            security_options: Some(options.iter().map(ToString::to_string).collect()),
            ..SystemInfo::default()
        };
        assert!(is_rootless(&with(&["name=seccomp,profile=default", "name=rootless"])));
        assert!(!is_rootless(&with(&["name=seccomp,profile=default"])) && !is_rootless(&SystemInfo::default()));
    }
}
