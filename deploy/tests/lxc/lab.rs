//! A runner of its own for every test.

use std::path::Path;
use std::time::Duration;

use deploy::lxc::Lxc;
use deploy::network::bridge::Bridge;
use deploy::procfs::Procfs;
use deploy::{DeploymentSpec, Host, Service};
use nix::sys::signal::Signal;
use protocol::ids::AttemptId;
use protocol::spec::{LxcSpec, PlatformSpec, Resources};
pub use testkit::name;
use testkit::process;
pub use testkit::process::is_alive as alive;
use testkit::unique_name;
pub use testkit::wait::eventually;

use crate::services;

pub struct Lab {
    pub driver: Lxc,
    pub host: Host,
    dir: tempfile::TempDir,
}

impl Lab {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let host = Host {
            runner: unique_name(),
            address: "127.0.0.1".parse().unwrap(),
            workload: services::workload(),
            state: dir.path().join("state"),
        };
        Self {
            driver: Lxc::new(&host),
            host,
            dir,
        }
    }

    /// The driver of the runner after a restart.
    pub fn restarted(&self) -> Lxc {
        Lxc::new(&self.host)
    }

    pub fn tcp(&self, service: &str, more: &[&str]) -> Service {
        services::tcp(service, 5000, more)
    }

    pub fn udp(&self, service: &str) -> Service {
        services::udp(service, 5000, 3)
    }

    pub fn deployment(&self, services: &[Service]) -> DeploymentSpec {
        DeploymentSpec {
            attempt: AttemptId::fresh(),
            platform: PlatformSpec::Lxc(LxcSpec {}),
            services: services.to_vec(),
            resources: Resources::default(),
            logs: self.dir.path().join("logs"),
            grace: Duration::from_secs(30),
        }
    }

    pub fn log(&self, service: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(format!("logs/{service}.log"))).unwrap_or_default()
    }

    /// The memory limit of a service's cgroup, bytes.
    pub fn limit(&self, service: &str, attempt: AttemptId) -> u64 {
        let group = format!("jung-{}/{attempt}-{service}", self.host.runner);
        let files = [
            format!("/sys/fs/cgroup/memory/{group}/memory.limit_in_bytes"),
            format!("/sys/fs/cgroup/{group}/memory.max"),
        ];
        let text = files.iter().find_map(|file| std::fs::read_to_string(file).ok());
        text.unwrap().trim().parse().unwrap()
    }

    /// Whatever exists of this runner: processes, interfaces, cgroups, container directories, lock files.
    pub fn leftovers(&self) -> Vec<String> {
        let runner = &self.host.runner;
        let marked = Procfs::default().marked(|mark| mark.runner == *runner);
        let mut leftovers: Vec<String> = marked.iter().map(|pid| format!("pid {pid}")).collect();
        leftovers.extend(Bridge::of(runner).leftovers());
        for hierarchy in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            let group = format!("jung-{runner}");
            let places = [hierarchy.path().join(&group), Path::new("/sys/fs/cgroup").join(&group)];
            let there = places.iter().filter(|place| place.exists());
            leftovers.extend(there.map(|place| place.display().to_string()));
        }
        let folders = std::fs::read_dir(self.host.state.join("lxc/containers"));
        leftovers.extend(
            folders
                .into_iter()
                .flatten()
                .flatten()
                .map(|folder| folder.path().display().to_string()),
        );
        let locks = Path::new("/run/lxc/lock").join(self.host.state.strip_prefix("/").unwrap());
        leftovers.extend(locks.exists().then(|| locks.display().to_string()));
        leftovers
    }

    #[track_caller]
    pub fn assert_clean(&self) {
        assert_eq!(self.leftovers(), Vec::<String>::new());
    }
}

pub fn kill(pid: u32) {
    process::kill(pid, Signal::SIGKILL);
}

pub fn freeze(pid: u32) {
    process::kill(pid, Signal::SIGSTOP);
}
