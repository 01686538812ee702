//! A host of its own for every test: a unique runner name, free ports, a temporary directory. Services are shell scripts.

use std::path::PathBuf;
use std::time::Duration;

use deploy::native::Native;
use deploy::{Deployment, DeploymentSpec, Host, Service, ready};
use protocol::ids::AttemptId;
use protocol::spec::{NativeSpec, PlatformSpec, Resources};
pub use testkit::name;
pub use testkit::process::is_alive as alive;
use testkit::service::WEB;
use testkit::unique_name;
pub use testkit::wait::eventually;

/// A host to deploy on.
pub struct Lab {
    pub host: Host,
    dir: tempfile::TempDir,
    cgroups: bool,
}

impl Lab {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let host = Host {
            runner: unique_name(),
            address: "127.0.0.1".parse().unwrap(),
            workload: "/bin/sh".into(),
            state: dir.path().join("state"),
        };
        Self {
            host,
            dir,
            cgroups: true,
        }
    }

    pub fn without_cgroups() -> Self {
        Self {
            cgroups: false,
            ..Self::new()
        }
    }

    pub fn native(&self) -> Native {
        Native::new(&self.host)
    }

    pub fn driver(&self) -> Native {
        if self.cgroups {
            self.native()
        } else {
            Native::without_cgroups(&self.host)
        }
    }

    /// Waits until every service is ready.
    pub async fn ready(&self, spec: &DeploymentSpec, running: &Deployment) {
        let patience = Duration::from_secs(60);
        ready::wait(spec, &self.host.runner, running.services(), patience)
            .await
            .unwrap();
    }

    pub fn logs(&self) -> PathBuf {
        self.dir.path().join("logs")
    }

    pub fn log(&self, service: &str) -> String {
        std::fs::read_to_string(self.logs().join(format!("{service}.log"))).unwrap_or_default()
    }

    pub fn shell(&self, service: &str, script: &str) -> Service {
        let (name, workload) = testkit::service::script(service, script);
        Service::workload(name, workload)
    }

    pub fn http(&self, service: &str) -> Service {
        self.shell(service, WEB)
    }

    pub fn deployment(&self, services: &[Service]) -> DeploymentSpec {
        DeploymentSpec {
            attempt: AttemptId::fresh(),
            platform: PlatformSpec::Native(NativeSpec {}),
            services: services.to_vec(),
            resources: Resources::default(),
            logs: self.logs(),
            grace: Duration::from_secs(2),
        }
    }
}
