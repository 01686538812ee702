//! The processes that are overhead of containers: the engine, its containerd, a monitor for each container (containerd's shim or Podman's conmon), and a
//! proxy for each published port.
//!
//! A monitor is the parent of its container's first process, and a proxy has the container's address among its arguments. Of several engines, the one that
//! listens on the socket counts. If the listener is none of them (systemd created the socket, or it belongs to another machine), all engines count.

use std::net::IpAddr;

use protocol::ids::Name;

use crate::deployment::PlatformProcess;
use crate::procfs::Procfs;

/// A running container.
#[derive(Clone, Debug)]
pub(super) struct RunningContainer {
    /// Its service.
    pub(super) service: Name,
    /// Its first process.
    pub(super) pid: u32,
    /// Its own address.
    pub(super) address: IpAddr,
}

/// The engine that listens on the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listener {
    /// Not an engine.
    Unknown,
    /// `dockerd` with this PID.
    Docker(u32),
    /// `podman` with this PID.
    Podman(u32),
}

impl Listener {
    fn of(procfs: &Procfs, listener: Option<u32>) -> Self {
        let Some(pid) = listener else { return Self::Unknown };
        match procfs.name(pid).as_deref() {
            Some("dockerd") => Self::Docker(pid),
            Some("podman") => Self::Podman(pid),
            _ => Self::Unknown,
        }
    }

    fn is(self, pid: u32) -> bool {
        match self {
            Self::Unknown => true,
            Self::Docker(own) | Self::Podman(own) => own == pid,
        }
    }

    /// Whether a containerd belongs to it: its child, or one that no dockerd has started.
    fn owns(self, procfs: &Procfs, containerd: u32) -> bool {
        let Self::Docker(own) = self else {
            return self == Self::Unknown;
        };
        let parent = procfs.stat(containerd).map_or(0, |stat| stat.parent);
        parent == own || procfs.name(parent).as_deref() != Some("dockerd")
    }
}

/// The processes that are overhead of these containers. `listener`: the PID of the process that listens on the engine's socket.
pub(super) fn processes(
    procfs: &Procfs,
    containers: &[RunningContainer],
    listener: Option<u32>,
) -> Vec<PlatformProcess> {
    let listener = Listener::of(procfs, listener);
    let mut found = Vec::new();
    let mut put = |name: &str, service: Option<&Name>, pid| {
        if let Ok(name) = name.parse() {
            let service = service.cloned();
            found.push(PlatformProcess { name, service, pid });
        }
    };
    for pid in procfs.pids() {
        match procfs.name(pid).as_deref() {
            Some(name @ ("dockerd" | "podman")) if listener.is(pid) => put(name, None, pid),
            Some(name @ "containerd") if listener.owns(procfs, pid) => put(name, None, pid),
            Some(name @ "docker-proxy") => {
                let arguments = procfs.arguments(pid);
                let address = arguments.iter().skip_while(|word| *word != "-container-ip").nth(1);
                let address = address.and_then(|text| text.parse().ok());
                if let Some(container) = containers.iter().find(|container| Some(container.address) == address) {
                    put(name, Some(&container.service), pid);
                }
            }
            // The kernel truncates names to 15 characters.
            Some(name @ ("containerd-shim" | "conmon")) => {
                let is_parent =
                    |container: &&RunningContainer| procfs.stat(container.pid).is_some_and(|stat| stat.parent == pid);
                if let Some(container) = containers.iter().find(is_parent) {
                    put(name, Some(&container.service), pid);
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_engine_monitors_and_proxies_are_found() {
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
            (21, "dockerd", 1, "dockerd\0--data-root\0/another\0"),
            (22, "containerd", 21, "containerd\0"),
        ] {
            let folder = root.path().join(pid.to_string());
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("stat"), format!("{pid} ({name}) S {parent} 1 1")).unwrap();
            fs::write(folder.join("comm"), format!("{name}\n")).unwrap();
            fs::write(folder.join("cmdline"), arguments).unwrap();
        }
        let service: Name = "web".parse().unwrap();
        let container = RunningContainer {
            service,
            pid: 13,
            address: "172.17.0.2".parse().unwrap(),
        };
        let procfs = Procfs::at(root.path());
        let found = |listener| -> Vec<(String, bool, u32)> {
            let found = processes(&procfs, std::slice::from_ref(&container), listener).into_iter();
            found
                .map(|process| (process.name.to_string(), process.service.is_some(), process.pid))
                .collect()
        };
        let shown = |expected: &[(&str, bool, u32)]| -> Vec<(String, bool, u32)> {
            expected
                .iter()
                .map(|&(name, of_one, pid)| (name.to_owned(), of_one, pid))
                .collect()
        };
        let (shim, proxy) = (("containerd-shim", true, 12), ("docker-proxy", true, 16));
        let docker = [("dockerd", false, 10), ("containerd", false, 11), shim, proxy];
        assert_eq!(found(Some(10)), shown(&docker));
        assert_eq!(found(Some(19)), shown(&[shim, proxy, ("podman", false, 19)]));
        let all = [
            docker.as_slice(),
            &[("podman", false, 19), ("dockerd", false, 21), ("containerd", false, 22)],
        ];
        assert_eq!(found(Some(1)), shown(&all.concat()), "the listener is systemd");
        assert_eq!(found(None), shown(&all.concat()));
    }
}
