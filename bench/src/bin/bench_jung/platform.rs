//! The eight services as processes on this machine.

use std::fs::File;
use std::io::BufReader;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use axum::http::Method;
use tokio::process::{Child, Command};
use workloads::jung::Client;
use workloads::jung::service::Service;

use super::spans::Spans;

/// The running services, killed on drop.
pub struct Platform {
    /// Address of the API.
    pub gateway: SocketAddr,
    /// Address of the device gateway's record.
    pub admin: SocketAddr,
    services: Vec<(Service, Child, PathBuf)>,
}

impl Platform {
    /// Starts one instance of each service, with a topic prefix of its own.
    pub fn start(
        workload: &Path,
        brokers: &str,
        folder: &Path,
        trace: bool,
        options: &[String],
    ) -> anyhow::Result<Self> {
        let (gateway, admin) = (free()?, free()?);
        let prefix = format!("bench-{}-", uuid::Uuid::new_v4().simple());
        let mut services = Vec::new();
        for service in Service::ALL {
            let spans = folder.join(format!("{service}.jsonl"));
            let mut command = Command::new(workload);
            command
                .args(["jung", service.name(), "--brokers", brokers, "--prefix", &prefix])
                .args(options);
            match service {
                Service::ApiGateway => drop(command.args(["--listen", &gateway.to_string()])),
                Service::DeviceGateway => drop(command.args(["--listen", &admin.to_string()])),
                _ => {}
            }
            if trace {
                command.arg("--trace").arg(&spans);
            }
            let child = command.kill_on_drop(true).spawn();
            let child = child.with_context(|| format!("cannot start {}; build it", workload.display()))?;
            services.push((service, child, spans));
        }
        Ok(Self {
            gateway,
            admin,
            services,
        })
    }

    /// Waits until the health check succeeds.
    pub async fn ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            let answer = Client::new(self.gateway, None).send(Method::GET, "/health", None).await;
            if answer.is_ok_and(|(status, _)| status == 200) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the services are not ready after 60 s")
    }

    /// The process ids.
    pub fn pids(&self) -> Vec<(Service, u32)> {
        self.services
            .iter()
            .filter_map(|(service, child, _)| Some((*service, child.id()?)))
            .collect()
    }

    /// Stops all processes; returns their spans.
    pub async fn stop(&mut self) -> anyhow::Result<Spans> {
        for (_, pid) in self.pids() {
            Command::new("kill").arg(pid.to_string()).status().await?;
        }
        let mut spans = Spans::default();
        for (service, child, path) in &mut self.services {
            child.wait().await?;
            if let Ok(file) = File::open(&path) {
                let added = spans.add(service.name(), BufReader::new(file));
                added.map_err(|(line, why)| anyhow::anyhow!("{} line {line}: {why}", path.display()))?;
            }
        }
        Ok(spans)
    }
}

/// An address that was free a moment ago.
fn free() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
