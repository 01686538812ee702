//! What the engine is asked to create: pure, so that a reader and a test see all of it.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, PortBinding, ResourcesUlimits};
use nix::sys::resource::{Resource, getrlimit};
use protocol::spec::ServiceSpec;

use super::container::Order;
use crate::mark::Mark;
use crate::service_args;

/// The container of a service.
///
/// Restarts, health checks and an init process stay off: nothing runs beside the service, and its death is its death.
pub(super) fn body(order: &Order, mark: &Mark, service: &ServiceSpec) -> ContainerCreateBody {
    let resources = &order.resources;
    let port = service.port.map(|port| format!("{port}/{}", service.ready.transport()));
    let memory = resources
        .memory_mib
        .map(|mib| i64::try_from(mib.saturating_mul(1 << 20)).unwrap_or(i64::MAX));
    let bindings = order.publish.zip(port.clone()).map(|((address, _), port)| {
        let binding = PortBinding {
            host_ip: Some(address.to_string()),
            host_port: service.port.map(|port| port.to_string()),
        };
        HashMap::from([(port, Some(vec![binding]))])
    });
    let listen = service.port.map(|port| (Ipv4Addr::UNSPECIFIED, port).into());
    ContainerCreateBody {
        image: Some(order.image.clone()),
        cmd: Some(service_args(service, listen)),
        labels: Some(mark.labels().map(|(key, value)| (key.to_owned(), value)).into()),
        exposed_ports: port.map(|port| vec![port]),
        host_config: Some(HostConfig {
            memory,
            // The sum of memory and swap: the same number means no swap.
            memory_swap: memory,
            cpuset_cpus: resources.cpuset.as_ref().map(ToString::to_string),
            cpuset_mems: resources.mems.as_ref().map(ToString::to_string),
            port_bindings: bindings,
            network_mode: order.network.clone(),
            runtime: order.maker.asked.clone(),
            ulimits: order.maker.is_podman.then(own_limits),
            log_config: Some(log_config()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// A log that can be read back through the API, whatever the engine's default is.
fn log_config() -> HostConfigLogConfig {
    let config = HashMap::from([("max-size".to_owned(), "64m".to_owned())]);
    HostConfigLogConfig {
        typ: Some("json-file".to_owned()),
        config: Some(config),
    }
}

/// The runner's own limits of open files and processes, which a native service has, too. Podman asks for a million of each otherwise, which a host
/// may not allow; its service has already lowered its own to as many processes as there are numbers. Docker's containers have those of its daemon.
fn own_limits() -> Vec<ResourcesUlimits> {
    let numbers = std::fs::read_to_string("/proc/sys/kernel/pid_max").ok();
    let numbers: Option<i64> = numbers.and_then(|text| text.trim().parse().ok());
    let limits = [
        ("nofile", Resource::RLIMIT_NOFILE, None),
        ("nproc", Resource::RLIMIT_NPROC, numbers),
    ];
    let own = |(name, resource, most): (&str, Resource, Option<i64>)| {
        let (soft, hard) = getrlimit(resource).ok()?;
        // What does not fit is no limit at all, which both engines write as -1.
        let whole = |limit: u64| {
            let limit = i64::try_from(limit).ok().or(most)?;
            Some(most.map_or(limit, |most| limit.min(most)))
        };
        Some(ResourcesUlimits {
            name: Some(name.to_owned()),
            soft: Some(whole(soft).unwrap_or(-1)),
            hard: Some(whole(hard).unwrap_or(-1)),
        })
    };
    limits.into_iter().filter_map(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::runtime::Maker;
    use std::net::IpAddr;

    use protocol::spec::Place;
    use protocol::spec::{HttpProbe, Probe, Resources, UdpProbe};

    fn maker() -> Maker {
        Maker {
            asked: Some("runsc".into()),
            ..Maker::default()
        }
    }

    fn json(resources: Resources, publish: Option<IpAddr>) -> serde_json::Value {
        let ready = Probe::Http(HttpProbe {
            path: "/".into(),
            status: 200,
            body_bytes: None,
        });
        json_of(maker(), ready, resources, publish)
    }

    fn json_of(maker: Maker, ready: Probe, resources: Resources, publish: Option<IpAddr>) -> serde_json::Value {
        let attempt = "018f8f6e-0000-7000-8000-000000000001".parse().unwrap();
        let mark = Mark {
            runner: "lab".parse().unwrap(),
            attempt,
            service: "tcp".parse().unwrap(),
        };
        let service = ServiceSpec {
            name: "tcp".parse().unwrap(),
            place: Place::Platform,
            args: ["tcp", "--listen", "{listen}"].map(String::from).into(),
            port: Some(8080),
            ready,
        };
        let order = Order {
            image: "image:1".into(),
            resources,
            logs: "/nowhere".into(),
            publish: publish.map(|address| (address, address)),
            network: Some("jb01234567".into()),
            maker,
        };
        serde_json::to_value(body(&order, &mark, &service)).unwrap()
    }

    #[test]
    fn the_limits_and_the_mark_are_in_it() {
        let json = json(
            Resources {
                cpuset: Some("0-1".parse().unwrap()),
                mems: Some("0".parse().unwrap()),
                memory_mib: Some(64),
            },
            None,
        );
        assert_eq!(json["Cmd"], serde_json::json!(["tcp", "--listen", "0.0.0.0:8080"]));
        assert_eq!(json["Labels"]["jung.runner"], "lab");
        assert_eq!(json["HostConfig"]["Memory"], 64 << 20);
        assert_eq!(json["HostConfig"]["MemorySwap"], 64 << 20);
        assert_eq!(json["HostConfig"]["CpusetCpus"], "0-1");
        assert_eq!(json["HostConfig"]["NetworkMode"], "jb01234567");
        assert_eq!(json["HostConfig"]["Runtime"], "runsc");
        assert_eq!(json["HostConfig"]["CpusetMems"], "0");
        assert_eq!(json["HostConfig"]["PortBindings"], serde_json::Value::Null);
    }

    #[test]
    fn a_published_port_is_bound_to_the_hosts_address() {
        let json = json(Resources::default(), Some("192.0.2.7".parse().unwrap()));
        let expected = serde_json::json!([{"HostIp": "192.0.2.7", "HostPort": "8080"}]);
        assert_eq!(json["HostConfig"]["PortBindings"]["8080/tcp"], expected);
        assert_eq!(json["HostConfig"]["Memory"], serde_json::Value::Null);
    }

    #[test]
    fn a_service_of_packets_is_published_as_such() {
        let ready = Probe::Udp(UdpProbe {
            packet: "1".into(),
            answer: "1".into(),
        });
        let json = json_of(maker(), ready, Resources::default(), Some("192.0.2.7".parse().unwrap()));
        assert!(json["ExposedPorts"]["8080/udp"].is_object(), "{json}");
        assert_eq!(json["HostConfig"]["PortBindings"]["8080/udp"][0]["HostPort"], "8080");
    }

    #[test]
    fn podman_is_given_limits_and_docker_keeps_its_own() {
        let made = |maker: Maker| {
            let ready = Probe::Udp(UdpProbe {
                packet: "1".into(),
                answer: "1".into(),
            });
            json_of(maker, ready, Resources::default(), None)["HostConfig"].clone()
        };
        assert_eq!(made(maker()).get("Ulimits"), None);
        let podman = made(Maker {
            is_podman: true,
            ..Maker::default()
        });
        assert_eq!(podman.get("Runtime"), None);
        assert_eq!(podman["Ulimits"][0]["Name"], "nofile");
        assert!(podman["Ulimits"][1]["Hard"].is_i64(), "{podman}");
    }
}
