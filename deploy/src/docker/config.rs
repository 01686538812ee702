//! The configuration of a container, as a pure function of its deployment.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;

use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, PortBinding, ResourcesUlimits};
use nix::sys::resource::{Resource, getrlimit};
use protocol::spec::Resources;

use super::plan::ContainerPlan;
use super::runtime::Runtime;
use crate::Service;
use crate::mark::Mark;

/// What the containers of a deployment have in common.
#[derive(Clone, Debug)]
pub(super) struct ContainerConfig {
    /// The limits of each container.
    pub(super) resources: Resources,
    /// The directory of the services' logs.
    pub(super) logs: PathBuf,
    /// The address of the host on which ports are published, and the address by which they are reached.
    pub(super) publish: Option<(IpAddr, IpAddr)>,
    /// The engine's name of their network; `None`: its default bridge.
    pub(super) network: Option<String>,
    /// The OCI runtime.
    pub(super) runtime: Runtime,
}

/// The request that creates the container of a service.
///
/// Without restarts, health checks and an init process: nothing runs beside the service, and its end is the end of the container.
pub(super) fn create_body(
    config: &ContainerConfig,
    mark: &Mark,
    service: &Service,
    plan: &ContainerPlan,
) -> ContainerCreateBody {
    let resources = &config.resources;
    let port = plan.port.map(|port| format!("{port}/{}", service.transport()));
    let memory = resources
        .memory_mib
        .map(|mib| i64::try_from(mib.saturating_mul(1 << 20)).unwrap_or(i64::MAX));
    let bindings = config.publish.zip(port.clone()).map(|((address, _), port)| {
        let binding = PortBinding {
            host_ip: Some(address.to_string()),
            host_port: service.port.map(|port| port.to_string()),
        };
        HashMap::from([(port, Some(vec![binding]))])
    });
    let (env, binds) = (plan.env.clone(), plan.binds.clone());
    ContainerCreateBody {
        image: Some(plan.image.clone()),
        entrypoint: plan.entrypoint.clone(),
        cmd: plan.args.clone(),
        env: (!env.is_empty()).then_some(env),
        user: plan.user.clone(),
        working_dir: plan.directory.clone(),
        labels: Some(mark.labels().map(|(key, value)| (key.to_owned(), value)).into()),
        exposed_ports: port.map(|port| vec![port]),
        host_config: Some(HostConfig {
            memory,
            // The limit of memory plus swap: the same number means no swap.
            memory_swap: memory,
            cpuset_cpus: resources.cpuset.as_ref().map(ToString::to_string),
            cpuset_mems: resources.mems.as_ref().map(ToString::to_string),
            binds: (!binds.is_empty()).then_some(binds),
            port_bindings: bindings,
            network_mode: config.network.clone(),
            runtime: config.runtime.requested.clone(),
            ulimits: config.runtime.is_podman.then(own_limits),
            log_config: Some(log_config()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// A log driver whose log the API can read, whatever the engine's default is.
fn log_config() -> HostConfigLogConfig {
    let config = HashMap::from([("max-size".to_owned(), "64m".to_owned())]);
    HostConfigLogConfig {
        typ: Some("json-file".to_owned()),
        config: Some(config),
    }
}

/// The runner's own limits of open files and processes, which native services have, too. Podman's default is a million of each, which a host may not
/// allow; processes are limited to `pid_max`, to which Podman lowers its own limit. Docker's containers have the limits of its daemon.
fn own_limits() -> Vec<ResourcesUlimits> {
    let pid_max = std::fs::read_to_string("/proc/sys/kernel/pid_max").ok();
    let pid_max: Option<i64> = pid_max.and_then(|text| text.trim().parse().ok());
    let limits = [
        ("nofile", Resource::RLIMIT_NOFILE, None),
        ("nproc", Resource::RLIMIT_NPROC, pid_max),
    ];
    let own = |(name, resource, most): (&str, Resource, Option<i64>)| {
        let (soft, hard) = getrlimit(resource).ok()?;
        // RLIM_INFINITY does not fit; both engines write it as -1.
        let signed = |limit: u64| {
            let limit = i64::try_from(limit).ok().or(most)?;
            Some(most.map_or(limit, |most| limit.min(most)))
        };
        Some(ResourcesUlimits {
            name: Some(name.to_owned()),
            soft: Some(signed(soft).unwrap_or(-1)),
            hard: Some(signed(hard).unwrap_or(-1)),
        })
    };
    limits.into_iter().filter_map(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::spec::{ConnectsProbe, Probe, UdpProbe, WorkloadService};

    fn runsc() -> Runtime {
        Runtime {
            requested: Some("runsc".into()),
            ..Runtime::default()
        }
    }

    fn json(resources: Resources, publish: Option<IpAddr>) -> serde_json::Value {
        let ready = Probe::Connects(ConnectsProbe {});
        json_of(runsc(), ready, resources, publish)
    }

    fn json_of(runtime: Runtime, ready: Probe, resources: Resources, publish: Option<IpAddr>) -> serde_json::Value {
        let attempt = "018f8f6e-0000-7000-8000-000000000001".parse().unwrap();
        let mark = Mark {
            runner: "lab".parse().unwrap(),
            attempt,
            service: "tcp".parse().unwrap(),
        };
        let workload = WorkloadService {
            args: ["tcp", "--listen", "{listen}"].map(String::from).into(),
            port: Some(8080),
            ready,
        };
        let service = Service::workload("tcp".parse().unwrap(), workload);
        let config = ContainerConfig {
            resources,
            logs: "/nowhere".into(),
            publish: publish.map(|address| (address, address)),
            network: Some("jb01234567".into()),
            runtime,
        };
        let image = ("image:1".into(), None);
        let plan = ContainerPlan::new(&service, image, "/nowhere".as_ref(), &mark).unwrap();
        serde_json::to_value(create_body(&config, &mark, &service, &plan)).unwrap()
    }

    #[test]
    fn the_limits_and_the_mark_are_set() {
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
    fn a_udp_service_publishes_a_udp_port() {
        let ready = Probe::Udp(UdpProbe {
            packet: "1".into(),
            answer: "1".into(),
        });
        let json = json_of(runsc(), ready, Resources::default(), Some("192.0.2.7".parse().unwrap()));
        assert!(json["ExposedPorts"]["8080/udp"].is_object(), "{json}");
        assert_eq!(json["HostConfig"]["PortBindings"]["8080/udp"][0]["HostPort"], "8080");
    }

    #[test]
    fn only_podman_gets_limits() {
        let host_config = |runtime: Runtime| {
            let ready = Probe::Udp(UdpProbe {
                packet: "1".into(),
                answer: "1".into(),
            });
            json_of(runtime, ready, Resources::default(), None)["HostConfig"].clone()
        };
        assert_eq!(host_config(runsc()).get("Ulimits"), None);
        let podman = host_config(Runtime {
            is_podman: true,
            ..Runtime::default()
        });
        assert_eq!(podman.get("Runtime"), None);
        assert_eq!(podman["Ulimits"][0]["Name"], "nofile");
        assert!(podman["Ulimits"][1]["Hard"].is_i64(), "{podman}");
    }
}
