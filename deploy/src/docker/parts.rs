//! The processes that containers cost beside their own: the engine, its containerd, a monitor for each container (containerd's shim or Podman's
//! conmon), a proxy for each published port.
//!
//! They are found by name and place: a monitor is the parent of its container's first process, a proxy names the container's address.

use std::net::IpAddr;

use protocol::ids::Name;

use crate::accounts::Part;
use crate::procfs::Procfs;

/// What is known of a container.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    /// The service that it is.
    pub(super) service: &'a Name,
    /// Its first process.
    pub(super) pid: u32,
    /// Its own address.
    pub(super) address: IpAddr,
}

/// The processes that these containers cost beside their own.
pub(super) fn parts(procfs: &Procfs, containers: &[Known<'_>]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut put = |name: &str, service: Option<&Name>, pid| {
        if let Ok(name) = name.parse() {
            let service = service.cloned();
            parts.push(Part { name, service, pid });
        }
    };
    for pid in procfs.pids() {
        match procfs.name(pid).as_deref() {
            Some(name @ ("dockerd" | "containerd" | "podman")) => put(name, None, pid),
            Some(name @ "docker-proxy") => {
                let arguments = procfs.arguments(pid);
                let address = arguments.iter().skip_while(|word| *word != "-container-ip").nth(1);
                let address = address.and_then(|text| text.parse().ok());
                if let Some(container) = containers.iter().find(|container| Some(container.address) == address) {
                    put(name, Some(container.service), pid);
                }
            }
            // The kernel cuts names to 15 characters.
            Some(name @ ("containerd-shim" | "conmon")) => {
                let is_parent =
                    |container: &&Known<'_>| procfs.stat(container.pid).is_some_and(|stat| stat.parent == pid);
                if let Some(container) = containers.iter().find(is_parent) {
                    put(name, Some(container.service), pid);
                }
            }
            _ => {}
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_engine_and_what_works_for_our_containers_is_found() {
        let root = tempfile::tempdir().unwrap();
        for (pid, name, parent, arguments) in [
            (10, "dockerd", 1, "dockerd\0-H\0unix\0"),
            (11, "containerd", 10, "containerd\0"),
            (12, "containerd-shim", 1, "containerd-shim-runc-v2\0-id\0ours\0"),
            (13, "workload", 12, "/workload\0"),
            (14, "containerd-shim", 1, "containerd-shim-runc-v2\0-id\0another\0"),
            (15, "workload", 14, "/workload\0"),
            (
                16,
                "docker-proxy",
                10,
                "docker-proxy\0-host-port\080\0-container-ip\x00172.17.0.2\0-container-port\080\0",
            ),
            (17, "docker-proxy", 10, "docker-proxy\0-container-ip\x00172.17.0.9\0"),
            (18, "my dockerd", 1, "my\0"),
            (19, "podman", 1, "podman\0system\0service\0"),
            (20, "conmon", 1, "conmon\0-c\0another\0"),
        ] {
            let folder = root.path().join(pid.to_string());
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("stat"), format!("{pid} ({name}) S {parent} 1 1")).unwrap();
            fs::write(folder.join("comm"), format!("{name}\n")).unwrap();
            fs::write(folder.join("cmdline"), arguments).unwrap();
        }
        let service: Name = "web".parse().unwrap();
        let ours = Known {
            service: &service,
            pid: 13,
            address: "172.17.0.2".parse().unwrap(),
        };
        let found = parts(&Procfs::at(root.path()), &[ours]);
        let found: Vec<(&str, bool, u32)> = found
            .iter()
            .map(|part| (part.name.as_str(), part.service.is_some(), part.pid))
            .collect();
        let expected = [
            ("dockerd", false, 10),
            ("containerd", false, 11),
            ("containerd-shim", true, 12),
            ("docker-proxy", true, 16),
            ("podman", false, 19),
        ];
        assert_eq!(found, expected);
    }
}
