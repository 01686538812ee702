//! The processes that containers cost beside their own: the engine, its containerd, a monitor for each container (containerd's shim or Podman's
//! conmon), a proxy for each published port.
//!
//! They are found by name and place: a monitor is the parent of its container's first process, a proxy names the container's address. Which of several
//! engines is ours is told by who listens on its socket. Where that is none of them (systemd made the socket, or it is another machine's), those of all
//! engines are counted.

use std::net::IpAddr;

use protocol::ids::Name;

use crate::deployment::PlatformProcess;
use crate::procfs::Procfs;

/// What is known of a container.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// The service that it is.
    pub(super) service: Name,
    /// Its first process.
    pub(super) pid: u32,
    /// Its own address.
    pub(super) address: IpAddr,
}

/// The engine that listens on our socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ours {
    /// It was not found.
    Unknown,
    /// This `dockerd`.
    Docker(u32),
    /// This `podman`.
    Podman(u32),
}

impl Ours {
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

    /// Whether a containerd works for it: its child, or one that nobody's dockerd has started.
    fn has(self, procfs: &Procfs, containerd: u32) -> bool {
        let Self::Docker(own) = self else {
            return self == Self::Unknown;
        };
        let parent = procfs.stat(containerd).map_or(0, |stat| stat.parent);
        parent == own || procfs.name(parent).as_deref() != Some("dockerd")
    }
}

/// The processes that these containers cost beside their own; `listener` listens on the engine's socket.
pub(super) fn parts(procfs: &Procfs, containers: &[Known], listener: Option<u32>) -> Vec<PlatformProcess> {
    let ours = Ours::of(procfs, listener);
    let mut parts = Vec::new();
    let mut put = |name: &str, service: Option<&Name>, pid| {
        if let Ok(name) = name.parse() {
            let service = service.cloned();
            parts.push(PlatformProcess { name, service, pid });
        }
    };
    for pid in procfs.pids() {
        match procfs.name(pid).as_deref() {
            Some(name @ ("dockerd" | "podman")) if ours.is(pid) => put(name, None, pid),
            Some(name @ "containerd") if ours.has(procfs, pid) => put(name, None, pid),
            Some(name @ "docker-proxy") => {
                let arguments = procfs.arguments(pid);
                let address = arguments.iter().skip_while(|word| *word != "-container-ip").nth(1);
                let address = address.and_then(|text| text.parse().ok());
                if let Some(container) = containers.iter().find(|container| Some(container.address) == address) {
                    put(name, Some(&container.service), pid);
                }
            }
            // The kernel cuts names to 15 characters.
            Some(name @ ("containerd-shim" | "conmon")) => {
                let is_parent = |container: &&Known| procfs.stat(container.pid).is_some_and(|stat| stat.parent == pid);
                if let Some(container) = containers.iter().find(is_parent) {
                    put(name, Some(&container.service), pid);
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
        let ours = Known {
            service,
            pid: 13,
            address: "172.17.0.2".parse().unwrap(),
        };
        let procfs = Procfs::at(root.path());
        let found = |listener| -> Vec<(String, bool, u32)> {
            let parts = parts(&procfs, std::slice::from_ref(&ours), listener).into_iter();
            parts
                .map(|part| (part.name.to_string(), part.service.is_some(), part.pid))
                .collect()
        };
        let shown = |parts: &[(&str, bool, u32)]| -> Vec<(String, bool, u32)> {
            parts
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
