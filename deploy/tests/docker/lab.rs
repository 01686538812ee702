//! A runner for each test, on the engine that the platform or `DOCKER_HOST` names, never the machine's default one.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bollard::query_parameters::ListContainersOptionsBuilder;
use deploy::docker::Docker;
use deploy::network::bridge::Bridge;
use deploy::{DeploymentSpec, Driver as _, Host, Service};
use protocol::ids::{AttemptId, Name};
use protocol::spec::{DockerSpec, PlatformSpec, Resources};

pub use testkit::name;
pub use testkit::process::is_alive as alive;
use testkit::{free_port, unique_name};

use crate::services;

pub struct Lab {
    pub driver: Docker,
    pub runner: Name,
    pub engine: bollard::Docker,
    spec: DockerSpec,
    host: Host,
    dir: tempfile::TempDir,
}

impl Lab {
    pub fn new(spec: DockerSpec) -> Self {
        Self::of_runner(spec, unique_name())
    }

    pub fn of_runner(spec: DockerSpec, runner: Name) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let host = Host {
            runner: runner.clone(),
            address: "127.0.0.1".parse().unwrap(),
            workload: services::workload(),
            state: dir.path().join("state"),
        };
        let engine = match &spec.socket {
            Some(socket) => bollard::Docker::connect_with_host(socket.as_str()),
            None => {
                let url = std::env::var("DOCKER_HOST").expect("DOCKER_HOST names an engine: see `just test-docker`");
                bollard::Docker::connect_with_host(&url)
            }
        };
        let engine = engine.unwrap();
        Self {
            driver: Docker::new(&spec, &host),
            runner,
            engine,
            spec,
            host,
            dir,
        }
    }

    /// Drops the driver and creates another, as a runner does for every attempt.
    pub fn replace_driver(&mut self) {
        self.driver = Docker::new(&self.spec, &self.host);
    }

    pub fn tcp(&self, service: &str, more: &[&str]) -> Service {
        services::tcp(service, free_port(), more)
    }

    pub fn udp(&self, service: &str) -> Service {
        services::udp(service, free_port(), 3)
    }

    pub fn deployment(&self, services: &[Service]) -> DeploymentSpec {
        DeploymentSpec {
            attempt: AttemptId::fresh(),
            platform: PlatformSpec::Docker(self.spec.clone()),
            services: services.to_vec(),
            resources: Resources::default(),
            logs: self.dir.path().join("logs"),
            grace: Duration::from_secs(10),
        }
    }

    pub fn log(&self, service: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(format!("logs/{service}.log"))).unwrap_or_default()
    }

    /// How many directories of services' files are left.
    pub fn service_files(&self) -> usize {
        std::fs::read_dir(self.host.state.join("working")).map_or(0, Iterator::count)
    }

    /// The containers of this runner, from the engine itself.
    pub async fn containers(&self) -> Vec<String> {
        let filters = HashMap::from([("label", vec![format!("jung.runner={}", self.runner)])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let until = Instant::now() + Duration::from_secs(60);
        let containers = loop {
            match self.engine.list_containers(Some(options.clone())).await {
                // For a moment Podman reports a state that the client does not know.
                Err(bollard::errors::Error::JsonDataError { .. }) if Instant::now() < until => {}
                containers => break containers.unwrap(),
            }
        };
        containers.into_iter().map(|container| container.id.unwrap()).collect()
    }

    /// Waits until the engine has this number of containers of this runner.
    pub async fn wait_for_containers(&self, count: usize) {
        let until = Instant::now() + Duration::from_secs(60);
        while self.containers().await.len() != count {
            assert!(
                Instant::now() < until,
                "expected {count} containers, found {:?}",
                self.containers().await
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Removes what a failed test left: no other test has its runner's name.
impl Drop for Lab {
    fn drop(&mut self) {
        let driver = Docker::new(&self.spec, &self.host);
        let swept = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(driver.sweep())
        });
        if let Ok(Err(error)) = swept.join() {
            eprintln!("sweep after the test: {error}");
        }
        let _ = Bridge::of(&self.runner).sweep();
    }
}
