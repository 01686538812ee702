//! The configuration file of an LXC container (lxc.container.conf(5)).

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use protocol::spec::Resources;

use super::plan::ContainerPlan;
use crate::cgroup::{Layout, limits_swap};
use crate::mark::{self, Mark};
use crate::network::bridge::Bridge;
use crate::network::subnet::{mac, mac_text};
use crate::service::root;

/// The program that starts a container and monitors it.
pub(super) const STARTER: &str = "lxc-start";
/// Docker's default capabilities, so that both platforms grant the same.
const CAPABILITIES: &str = "chown dac_override fsetid fowner mknod net_raw setgid setuid setfcap setpcap net_bind_service sys_chroot kill audit_write";
/// The package's seccomp profile for ordinary containers.
const SECCOMP: &str = "/usr/share/lxc/config/common.seccomp";

/// What all containers of a deployment share.
#[derive(Clone, Debug)]
pub(super) struct SharedConfig {
    /// `lxc-start`.
    pub(super) starter: PathBuf,
    /// The host's cgroup layout.
    pub(super) layout: Layout,
    /// Where each container has a directory.
    pub(super) containers: PathBuf,
    /// The bridge that they are connected to.
    pub(super) bridge: Bridge,
    /// The limits of each container.
    pub(super) resources: Resources,
    /// The directory of the services' logs.
    pub(super) logs: PathBuf,
}

/// The configuration of one container.
#[derive(Clone, Debug)]
pub(super) struct Config<'a> {
    /// Its mark.
    pub(super) mark: &'a Mark,
    /// What it is started from.
    pub(super) plan: &'a ContainerPlan,
    /// The bridge.
    pub(super) bridge: String,
    /// The host's end of its veth.
    pub(super) interface: String,
    /// Its address.
    pub(super) address: Ipv4Addr,
    /// The host's address.
    pub(super) gateway: Ipv4Addr,
    /// Its limits.
    pub(super) resources: &'a Resources,
    /// The host's cgroup layout.
    pub(super) layout: &'a Layout,
    /// Its seccomp profile; `None`: system calls are not filtered.
    pub(super) seccomp: Option<PathBuf>,
    /// LXC's own log.
    pub(super) log: &'a Path,
}

/// The seccomp profile, if the package provides one.
pub(super) fn seccomp() -> Option<PathBuf> {
    Some(PathBuf::from(SECCOMP)).filter(|file| file.is_file())
}

/// The container's cgroup, relative to each hierarchy's mount point.
pub(super) fn cgroup(mark: &Mark) -> String {
    format!("{}/{}", mark::cgroup_group(&mark.runner), mark.cgroup())
}

impl Config<'_> {
    /// The file's text. Every value is a name, a number, an address or a path without control characters, so none can add a line.
    pub(super) fn text(&self) -> String {
        let mut text = String::from("# Written by Jung for one container of one trial.\n");
        let mut put = |key: &str, value: &dyn std::fmt::Display| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "lxc.{key} = {value}");
        };
        put("uts.name", &self.mark.service.as_str().replace('_', "-"));
        put("rootfs.path", &format_args!("dir:{}", self.plan.root.display()));
        // All containers share it.
        put("rootfs.options", &"ro");
        put("mount.auto", &"proc:mixed sys:ro");
        put("autodev", &1);
        put("tty.max", &0);
        put("pty.max", &1);
        // The service keeps the standard output of lxc-start.
        put("console.path", &"none");
        put("signal.halt", &"SIGTERM");
        put("cap.keep", &CAPABILITIES);
        if let Some(profile) = &self.seccomp {
            put("seccomp.profile", &profile.display());
        }
        put("net.0.type", &"veth");
        put("net.0.link", &self.bridge);
        put("net.0.veth.pair", &self.interface);
        put("net.0.name", &"eth0");
        put("net.0.flags", &"up");
        put("net.0.hwaddr", &mac_text(mac(self.address)));
        put("net.0.ipv4.address", &format_args!("{}/24", self.address));
        put("net.0.ipv4.gateway", &self.gateway);
        let cgroup = cgroup(self.mark);
        put("cgroup.dir.container", &cgroup);
        put("cgroup.dir.monitor", &format_args!("{cgroup}.monitor"));
        put("cgroup.dir.monitor.pivot", &format_args!("{cgroup}.pivot"));
        for (key, value) in self.limits() {
            put(&key, &value);
        }
        put(
            "environment",
            &"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        );
        for (key, value) in self.mark.environment() {
            put("environment", &format_args!("{key}={value}"));
        }
        for (key, value) in &self.plan.env {
            put("environment", &format_args!("{key}={value}"));
        }
        if let Some(dir) = &self.plan.dir {
            let inside = root::DIR.trim_start_matches('/');
            put(
                "mount.entry",
                &format_args!("{} {inside} none bind,rw 0 0", dir.path().display()),
            );
            for volatile in ["tmp", "run"] {
                put(
                    "mount.entry",
                    &format_args!("tmpfs {volatile} tmpfs rw,nosuid,nodev,mode=1777 0 0"),
                );
            }
        }
        if let Some(directory) = &self.plan.directory {
            put("init.cwd", &directory.display());
        }
        if let Some(user) = &self.plan.user {
            put("init.uid", &user.uid);
            put("init.gid", &user.gid);
        }
        put("log.file", &self.log.display());
        // How the container ended is logged at this level.
        put("log.level", &"INFO");
        text
    }

    /// The limits under the names of the host's cgroup version.
    fn limits(&self) -> Vec<(String, String)> {
        let (version, memory, swap) = match self.layout {
            Layout::V1(_) => ("cgroup", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
            Layout::V2(_) => ("cgroup2", "memory.max", "memory.swap.max"),
        };
        let mut limits = Vec::new();
        let mut put = |key: &str, value: String| limits.push((format!("{version}.{key}"), value));
        if let Some(mib) = self.resources.memory_mib {
            let bytes = mib.saturating_mul(1 << 20);
            put(memory, bytes.to_string());
            if limits_swap(self.layout) {
                // Version 1 limits memory and swap together, version 2 swap alone.
                let swap_bytes = if self.layout.version() == 1 { bytes } else { 0 };
                put(swap, swap_bytes.to_string());
            }
        }
        if let Some(cpus) = &self.resources.cpuset {
            put("cpuset.cpus", cpus.to_string());
        }
        if let Some(mems) = &self.resources.mems {
            put("cpuset.mems", mems.to_string());
        }
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(layout: &Layout, seccomp: Option<PathBuf>) -> String {
        let mark = Mark {
            runner: "lab".parse().unwrap(),
            attempt: "018f3b5c-0000-7000-8000-000000000001".parse().unwrap(),
            service: "web_1".parse().unwrap(),
        };
        let resources = Resources {
            cpuset: Some("0-1".parse().unwrap()),
            mems: Some("0".parse().unwrap()),
            memory_mib: Some(64),
        };
        let plan = ContainerPlan {
            root: "/s/lxc/root-1".into(),
            program: "/workload".into(),
            args: None,
            env: Vec::new(),
            user: None,
            directory: None,
            dir: None,
            record: None,
        };
        let config = Config {
            mark: &mark,
            plan: &plan,
            bridge: "jb0".into(),
            interface: "jt0-2".into(),
            address: Ipv4Addr::new(10, 213, 0, 2),
            gateway: Ipv4Addr::new(10, 213, 0, 1),
            resources: &resources,
            layout,
            seccomp,
            log: Path::new("/s/lxc/x/lxc.log"),
        };
        config.text()
    }

    #[test]
    fn a_container_under_version_2() {
        insta::assert_snapshot!(text(&Layout::V2("/nowhere".into()), Some("/p".into())));
    }

    #[test]
    fn version_1_has_its_own_names() {
        let text = text(&Layout::V1(crate::cgroup::Mounts::default()), None);
        let limits: Vec<&str> = text.lines().filter(|line| line.starts_with("lxc.cgroup.")).collect();
        assert!(
            limits.contains(&"lxc.cgroup.memory.limit_in_bytes = 67108864"),
            "{text}"
        );
        assert!(limits.contains(&"lxc.cgroup.cpuset.cpus = 0-1"), "{text}");
        assert!(!text.contains("seccomp"), "{text}");
    }
}
