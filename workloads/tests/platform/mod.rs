//! All services of the platform as processes, for tests.

pub mod load;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use axum::http::Method;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;
use workloads::jung::Client;

/// Allows two platforms at a time, because each has eight processes.
static PLATFORMS: Semaphore = Semaphore::const_new(2);

/// Timeout for events that must happen.
const TIMEOUT: Duration = Duration::from_secs(60);

/// All services; the order of startup does not matter.
const SERVICES: [&str; 8] = [
    "api-gateway",
    "device-gateway",
    "rule-engine",
    "device-commander",
    "device-monitor",
    "device-registry",
    "user-registry",
    "auth-manager",
];

/// The Kafka brokers.
pub fn brokers() -> String {
    std::env::var("JUNG_TEST_KAFKA").unwrap_or_else(|_| "127.0.0.1:9092".into())
}

/// A running platform with its own topics; its processes are killed on drop.
pub struct Platform {
    /// Address of the API.
    pub gateway: SocketAddr,
    /// Address of the device gateway's record.
    pub admin: SocketAddr,
    /// Topic prefix.
    pub prefix: String,
    brokers: String,
    options: Vec<String>,
    instances: Vec<Instance>,
    folder: TempDir,
    _permit: SemaphorePermit<'static>,
}

struct Instance {
    service: &'static str,
    number: u16,
    child: Child,
}

/// An address with a port that was free a moment ago.
fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
}

impl Platform {
    /// Starts one instance of each service with these brokers, and waits until the health check succeeds.
    pub async fn start_on(brokers: &str, options: &[&str]) -> Self {
        let permit = PLATFORMS.acquire().await.unwrap();
        let mut platform = Self {
            _permit: permit,
            gateway: free_address(),
            admin: free_address(),
            prefix: format!("test-{}-", Uuid::new_v4().simple()),
            brokers: brokers.to_owned(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            instances: Vec::new(),
            folder: tempfile::tempdir().unwrap(),
        };
        for service in SERVICES {
            platform.add(service, 0);
        }
        platform.ready().await;
        platform
    }

    /// Starts another instance of a service; returns its index.
    pub fn add(&mut self, service: &'static str, number: u16) -> usize {
        let child = self.spawn(service, number);
        self.instances.push(Instance { service, number, child });
        self.instances.len() - 1
    }

    /// Index of the first instance of a service.
    pub fn find(&self, service: &str) -> usize {
        self.instances.iter().position(|it| it.service == service).unwrap()
    }

    /// Kills an instance with SIGKILL.
    pub async fn kill(&mut self, instance: usize) {
        self.instances[instance].child.kill().await.unwrap();
    }

    /// Restarts an instance.
    pub fn restart(&mut self, instance: usize) {
        let Instance { service, number, .. } = self.instances[instance];
        self.instances[instance].child = self.spawn(service, number);
    }

    /// Whether all processes are running.
    pub fn all_alive(&mut self) -> bool {
        self.instances
            .iter_mut()
            .all(|it| it.child.try_wait().unwrap().is_none())
    }

    /// Waits until this many instances share the tasks of a service.
    pub async fn shared_by(&self, service: &str, instances: usize) {
        let group = format!("{}{service}", self.prefix);
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .create()
            .unwrap();
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let listed = consumer.client().fetch_group_list(Some(&group), TIMEOUT).unwrap();
            let states: Vec<_> = listed
                .groups()
                .iter()
                .map(|it| (it.state(), it.members().len()))
                .collect();
            if states == [("Stable", instances)] {
                return;
            }
            assert!(Instant::now() < deadline, "{group}: {states:?}\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the API gateway has received this many further results.
    pub async fn answered(&self, count: u64) {
        let mut client = Client::new(self.gateway, Some(("user-0", "secret-0")));
        let deadline = Instant::now() + TIMEOUT;
        let mut first = None;
        loop {
            let stats: Value = client.get("/stats").await.unwrap();
            let answered = stats["answered"].as_u64().unwrap();
            if answered >= *first.get_or_insert(answered) + count {
                return;
            }
            assert!(Instant::now() < deadline, "{stats}\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the health check succeeds.
    pub async fn ready(&self) {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let mut client = Client::new(self.gateway, None);
            let answer = client.send(Method::GET, "/health", None).await;
            if answer.as_ref().is_ok_and(|(status, _)| *status == 200) {
                return;
            }
            assert!(Instant::now() < deadline, "{answer:?}\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Stops all processes with SIGTERM; returns their exit statuses.
    pub async fn stop(&mut self) -> Vec<(String, ExitStatus)> {
        let mut statuses = Vec::new();
        for instance in &self.instances {
            if let Some(pid) = instance.child.id() {
                Command::new("kill").arg(pid.to_string()).status().await.unwrap();
            }
        }
        for instance in &mut self.instances {
            let waited = tokio::time::timeout(Duration::from_secs(30), instance.child.wait()).await;
            let status = waited.expect("it ends within 30 s").unwrap();
            statuses.push((format!("{}-{}", instance.service, instance.number), status));
        }
        statuses
    }

    /// The counters that an instance printed at exit.
    pub fn log(&self, service: &str, number: u16) -> Value {
        let text = std::fs::read_to_string(self.log_file(service, number)).unwrap();
        let counts = text.lines().rev().find_map(|line| line.split_once(": {"));
        let (_, counts) = counts.unwrap_or_else(|| panic!("{service} printed no counters: {text}"));
        serde_json::from_str(&format!("{{{counts}")).unwrap()
    }

    fn logs(&self) -> String {
        let read = |it: &Instance| std::fs::read_to_string(self.log_file(it.service, it.number)).unwrap_or_default();
        self.instances
            .iter()
            .map(|it| format!("{}: {}\n", it.service, read(it)))
            .collect()
    }

    fn log_file(&self, service: &str, number: u16) -> PathBuf {
        self.folder.path().join(format!("{service}-{number}.log"))
    }

    fn spawn(&self, service: &str, number: u16) -> Child {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file(service, number))
            .unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_workload"));
        command.args(["jung", service, "--brokers", &self.brokers, "--prefix", &self.prefix]);
        command.args(["--instance", &number.to_string()]).args(&self.options);
        match service {
            "api-gateway" => drop(command.args(["--listen", &self.gateway.to_string()])),
            "device-gateway" => drop(command.args(["--listen", &self.admin.to_string()])),
            _ => {}
        }
        command
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- output of the services:\n{}", self.logs());
        }
    }
}

/// A broker in this process.
pub struct EmbeddedBroker {
    broker: broker::Broker,
    _folder: TempDir,
}

impl EmbeddedBroker {
    /// Starts a broker on a free port.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = broker::Listener {
            bind: (Ipv4Addr::LOCALHOST, 0).into(),
            advertise: None,
        };
        let config = broker::Config {
            listeners: vec![listener],
            data: folder.path().to_owned(),
            ..Default::default()
        };
        Self {
            broker: broker::Broker::start(config).await.unwrap(),
            _folder: folder,
        }
    }

    /// The broker's address.
    pub fn address(&self) -> String {
        self.broker.addresses()[0].to_string()
    }
}

/// An Apache Kafka for one test that can be killed; started by `deploy/kafka/kafka.sh`.
pub struct Kafka {
    address: String,
    folder: TempDir,
}

impl Kafka {
    /// Starts Kafka on a free port.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = kafka_sh(&folder, &["start", "--port", "0"]).await;
        Self { address, folder }
    }

    /// The broker's address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Kills Kafka with SIGKILL, and waits until it is gone: a JVM takes a moment, during which the script would take it for running.
    pub async fn kill(&mut self) {
        let pid = std::fs::read_to_string(self.folder.path().join("1/pid")).unwrap();
        let status = Command::new("kill").args(["-9", pid.trim()]).status().await.unwrap();
        assert!(status.success());
        let deadline = Instant::now() + TIMEOUT;
        let command = format!("/proc/{}/cmdline", pid.trim());
        while std::fs::read(&command).is_ok_and(|line| !line.is_empty()) {
            assert!(Instant::now() < deadline, "Kafka does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Restarts Kafka on the same port.
    pub async fn restart(&mut self) {
        let port = self.address.rsplit(':').next().unwrap().to_owned();
        assert_eq!(kafka_sh(&self.folder, &["start", "--port", &port]).await, self.address);
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kafka/kafka.sh");
        let stopped = std::process::Command::new(script)
            .arg("stop")
            .arg("--dir")
            .arg(self.folder.path())
            .status();
        assert!(
            stopped.is_ok_and(|status| status.success()),
            "Kafka in {:?} may still be running",
            self.folder
        );
    }
}

/// Runs the script for a directory and returns its last line of output.
async fn kafka_sh(folder: &TempDir, arguments: &[&str]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kafka/kafka.sh");
    let mut command = Command::new(script);
    command.args(arguments).arg("--dir").arg(folder.path());
    let output = command.stderr(Stdio::inherit()).output().await.unwrap();
    assert!(output.status.success(), "kafka.sh {arguments:?}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    stdout.lines().last().unwrap_or_default().to_owned()
}
