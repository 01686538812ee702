//! A runner for each test: a unique name, a state directory, guest descriptions.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use deploy::guest::GuestEnd;
use deploy::hypervisor::GuestDriver;
use deploy::network::bridge::Bridge;
use deploy::procfs::Procfs;
use deploy::ready::{self, FirstReply, NotReady};
use deploy::{Deployment, DeploymentSpec, Driver, Host, Program, Service};
use protocol::ids::AttemptId;
use protocol::spec::{
    Acceleration, BridgeSpec, GuestNetwork, GuestSpec, NativeSpec, PlatformKind, PlatformSpec, Resources, UserNetSpec,
};
use protocol::summary::Exit;
pub use testkit::name;
pub use testkit::wait::eventually;
use testkit::{free_port, unique_name};

use crate::kernel::Kernel;
use crate::services;

/// How long a guest may take on a busy machine.
pub const TIMEOUT: Duration = Duration::from_secs(600);

pub struct Lab {
    pub host: Host,
    pub acceleration: Acceleration,
    pub network: GuestNetwork,
    dir: tempfile::TempDir,
}

impl Lab {
    pub fn new(network: GuestNetwork) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let host = Host {
            runner: unique_name(),
            address: "127.0.0.1".parse().unwrap(),
            workload: workload(),
            state: dir.path().join("state"),
        };
        Self {
            host,
            acceleration: Acceleration::Tcg,
            network,
            dir,
        }
    }

    /// Where the test keeps files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn describe(&self, guest: &str, text: &str) {
        let guests = self.host.state.join("guests");
        std::fs::create_dir_all(&guests).unwrap();
        std::fs::write(guests.join(format!("{guest}.toml")), text).unwrap();
    }

    /// Describes the guest `tiny`.
    pub fn tiny(&self, kernel: &Kernel, more: &str) {
        let path = self.dir.path().join("kernel");
        std::fs::write(&path, kernel.image()).unwrap();
        let text = format!("kernel = {path:?}\nready = '^up$'\npanic = 'PANIC'\nmemory_mib = 16\n{more}");
        self.describe("tiny", &text);
    }

    /// Describes the guest `linux` with the cached kernel.
    pub fn linux(&self, more: &str) {
        let kernel = cached("kernel", "vmlinuz");
        let text = format!(
            "preset = 'linux'\nkernel = {:?}\nmodules = {:?}\n{more}",
            kernel.join("vmlinuz"),
            kernel.join("modules")
        );
        self.describe("linux", &text);
    }

    /// Describes the guest `debian` with the cached disk, and returns the disk.
    pub fn debian(&self) -> PathBuf {
        self.debian_with("")
    }

    /// The same with further keys.
    pub fn debian_with(&self, more: &str) -> PathBuf {
        let disk = cached("disk", "root.qcow2");
        let append = "root=LABEL=jung-root ro console=ttyS0 panic=-1 tsc=reliable no_timer_check quiet systemd.show_status=false";
        let text = format!(
            "preset = 'cloud'\nkernel = {:?}\ninitrd = {:?}\nappend = '{append}'\n{more}\n[[disks]]\npath = {:?}\nformat = 'qcow2'\nwritable = true",
            disk.join("vmlinuz"),
            disk.join("initrd.img"),
            disk.join("root.qcow2")
        );
        self.describe("debian", &text);
        disk.join("root.qcow2")
    }

    pub fn spec(&self, guest: &str) -> GuestSpec {
        GuestSpec {
            guest: name(guest),
            acceleration: self.acceleration,
            network: self.network.clone(),
            vcpus: None,
        }
    }

    pub fn driver(&self, guest: &str) -> GuestDriver {
        GuestDriver::new(PlatformKind::Guest, &self.spec(guest), &self.host)
    }

    pub fn deployment(&self, guest: &str, services: &[Service]) -> DeploymentSpec {
        DeploymentSpec {
            attempt: AttemptId::fresh(),
            platform: PlatformSpec::Guest(self.spec(guest)),
            services: services.to_vec(),
            resources: Resources::default(),
            logs: self.dir.path().join("logs"),
            grace: Duration::from_secs(60),
        }
    }

    pub async fn start(&self, guest: &str, services: &[Service]) -> Deployment {
        self.driver(guest)
            .start(&self.deployment(guest, services))
            .await
            .unwrap()
    }

    pub fn log(&self, service: &str) -> String {
        let bytes = std::fs::read(self.dir.path().join(format!("logs/{service}.log"))).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Asserts that nothing of this runner is left: no process, tap, bridge or overlay.
    pub async fn assert_clean(&self) {
        let runner = self.host.runner.clone();
        eventually("the end of every process", || {
            Procfs::default().marked(|mark| mark.runner == runner).is_empty()
        })
        .await;
        eventually("the end of every tap", || Bridge::of(&runner).leftovers().is_empty()).await;
        let overlays = std::fs::read_dir(self.host.state.join("guests/overlays"));
        assert_eq!(overlays.map(Iterator::count).unwrap_or(0), 0);
    }
}

pub fn bridge() -> GuestNetwork {
    GuestNetwork::Bridge(BridgeSpec { vhost: false })
}

pub fn user() -> GuestNetwork {
    GuestNetwork::User(UserNetSpec {})
}

pub fn tcp(service: &str) -> Service {
    services::tcp(service, free_port(), &[])
}

pub fn udp(service: &str) -> Service {
    services::udp(service, free_port(), 1000)
}

pub fn with_args(service: &str, args: &[&str]) -> Service {
    Service {
        program: Program::Workload(args.iter().map(|&arg| arg.into()).collect()),
        ..services::tcp(service, free_port(), &[])
    }
}

/// Waits for the first correct replies; panics if a guest ends before.
pub async fn ready(services: &[Service], running: &mut Deployment) -> Result<Vec<FirstReply>, NotReady> {
    let started = running.services().to_vec();
    let deployment = DeploymentSpec {
        attempt: AttemptId::fresh(),
        platform: PlatformSpec::Native(NativeSpec {}),
        services: services.to_vec(),
        resources: Resources::default(),
        logs: "/nowhere".into(),
        grace: Duration::ZERO,
    };
    let runner = "test".parse().unwrap();
    tokio::select! {
        ready = ready::wait(&deployment, &runner, &started, TIMEOUT) => ready,
        ended = running.ended() => panic!("{ended:?} before READY"),
    }
}

/// Sends `times` requests, each on a connection of its own, and checks every reply.
pub async fn ask(address: SocketAddr, times: usize) {
    let asked = tokio::task::spawn_blocking(move || {
        for _ in 0..times {
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(30)).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            stream
                .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                .unwrap();
            let mut reply = Vec::new();
            stream.read_to_end(&mut reply).unwrap();
            let text = String::from_utf8_lossy(&reply);
            assert!(
                text.starts_with("HTTP/1.1 200 ") && text.ends_with(&"A".repeat(1000)),
                "{text}"
            );
        }
    });
    asked.await.unwrap();
}

/// A guest answers every request, stops when asked to and leaves nothing; its console shows that it was up.
pub async fn serves(lab: &Lab, guest: &str, up: &str) {
    let services = [tcp("one")];
    let mut running = lab.start(guest, &services).await;
    ready(&services, &mut running).await.unwrap();
    ask(running.services()[0].endpoint.unwrap(), 30).await;
    let stopped = running.stop().await;
    assert_eq!(stopped.exits, [(name("one"), Exit::Code(0))], "{}", lab.log("one"));
    assert_eq!(stopped.teardown.leftovers, Vec::<String>::new());
    assert!(lab.log("one").contains(up), "{}", lab.log("one"));
    lab.assert_clean().await;
}

/// A guest whose workload fails reports the workload's exit code.
pub async fn reports_its_exit_code(lab: &Lab, guest: &str) {
    let services = [with_args("one", &["tcp", "--listen", "nonsense"])];
    let mut running = lab.start(guest, &services).await;
    let ended = running.ended().await;
    assert_eq!(ended, (name("one"), Exit::Code(2)), "{}", lab.log("one"));
    assert_eq!(running.guest_end(&name("one")), Some(&GuestEnd::Returned(2)));
    assert!(lab.log("one").contains("nonsense"), "{}", lab.log("one"));
    running.stop().await;
    lab.assert_clean().await;
}

/// A directory of the guest cache that contains a file.
fn cached(part: &str, file: &str) -> PathBuf {
    let cache = std::env::var("JUNG_GUEST_CACHE").unwrap_or_else(|_| "/var/cache/jung-guests".into());
    let dir = Path::new(&cache).join(part);
    assert!(
        dir.join(file).exists(),
        "no {part}/{file} in {cache}: run deploy/linux/{part}.sh {cache}, or set JUNG_GUEST_CACHE to another directory"
    );
    dir
}

/// The static workload, with `guest-init` beside it, where deploy/linux/build-init.sh puts it.
fn workload() -> PathBuf {
    let path = services::workload();
    let init = path.with_file_name("guest-init");
    assert!(
        init.exists(),
        "{} does not exist: run deploy/linux/build-init.sh",
        init.display()
    );
    path
}
