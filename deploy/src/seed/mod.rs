//! Fills a described service with data once it replies: requests, a key space of Redis, or a program of this host.

mod redis;

use std::net::SocketAddr;
use std::time::Duration;

use protocol::ids::AttemptId;
use protocol::spec::{HttpSeed, SeedStep, Template, Values};
use tokio::net::TcpStream;

use crate::mark::Mark;
use crate::ready::http;
use crate::service::{Described, Service, fill, fill_all};
use crate::{DeployError, Host, process};

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// The most requests or keys of a step: more are a mistake, and would fill the memory of any service.
const MAX: u64 = 1_000_000_000;

/// A service that is seeded.
#[derive(Clone, Copy, Debug)]
pub struct Seeding<'a> {
    /// The host that it runs on.
    pub host: &'a Host,
    /// The attempt.
    pub attempt: AttemptId,
    /// The service.
    pub service: &'a Service,
    /// Where this host reaches it; `None`: it does not listen.
    pub endpoint: Option<SocketAddr>,
    /// The directory of logs.
    pub logs: &'a std::path::Path,
}

impl Seeding<'_> {
    /// Executes every step of the description, in order. Nothing is left when the future is dropped.
    ///
    /// # Errors
    /// The step that failed, and why.
    pub async fn run(&self) -> Result<(), String> {
        let Some(described) = self.service.description() else {
            return Ok(());
        };
        for (number, step) in described.description().seed.iter().enumerate() {
            let done = self.step(described, step).await;
            done.map_err(|why| format!("step {} of seeding service {}: {why}", number + 1, self.service.name))?;
        }
        Ok(())
    }

    async fn step(&self, described: &Described, step: &SeedStep) -> Result<(), String> {
        let values = described.values(self.service.name.as_str(), self.endpoint, std::path::Path::new("/"));
        match step {
            SeedStep::Command(command) => {
                let program = described.program(&command.program).map_err(|error| error.to_string())?;
                let args = fill_all(&command.args, &values).map_err(|error| error.to_string())?;
                self.command(program, args).await
            }
            SeedStep::Http(request) => requests(request, &values, self.address()?).await,
            SeedStep::Redis(keys) => {
                let space = redis::KeySpace {
                    keys: number(&keys.keys, &values)?,
                    value_bytes: number(&keys.value_bytes, &values)?,
                    prefix: keys.prefix.clone(),
                };
                let stream = TcpStream::connect(self.address()?)
                    .await
                    .map_err(|error| error.to_string())?;
                redis::fill(stream, &space).await
            }
        }
    }

    fn address(&self) -> Result<SocketAddr, String> {
        self.endpoint.ok_or_else(|| "the service does not listen".to_owned())
    }

    /// Runs a program of this host with the service's mark; its output goes to `<logs>/<service>.seed.log`.
    async fn command(&self, program: std::path::PathBuf, args: Vec<String>) -> Result<(), String> {
        let mark = Mark::of(&self.host.runner, self.attempt, self.service);
        let log = self.logs.join(format!("{}.seed.log", self.service.name));
        let mut environment = vec![(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        )];
        environment.extend(mark.environment());
        let shown = program.display().to_string();
        let launch = process::Launch::new(program, args, environment, log.clone());
        let failed = |error: std::io::Error| format!("{shown}: {error}");
        let mut process = process::Process::spawn(launch).map_err(failed)?;
        let status = process.wait().await.map_err(failed)?;
        if status.success() {
            return Ok(());
        }
        Err(format!("{shown} ended with {status}: {}", crate::log::tail(&log)))
    }
}

/// A whole number that a template gives, or a size.
fn number(template: &Template, values: &Values) -> Result<u64, String> {
    let text = fill(template, values).map_err(|error: DeployError| error.to_string())?;
    let number = text.parse().ok().or_else(|| protocol::toml::parse_size(&text).ok());
    number
        .filter(|number| *number <= MAX)
        .ok_or_else(|| format!("{text:?} is not a number up to {MAX}"))
}

/// Sends a request as often as it says, over a connection each.
async fn requests(request: &HttpSeed, values: &Values, address: SocketAddr) -> Result<(), String> {
    let (method, status) = (request.method.as_str(), request.status);
    let times = number(&request.times, values)?;
    for index in 0..times {
        let mut values = values.clone();
        values.set("index", index);
        let fill = |template: &Template| fill(template, &values).map_err(|error| error.to_string());
        let (path, body) = (fill(&request.path)?, fill(&request.body)?);
        let message = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAccept: */*\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let sent = http::exchange(message.as_bytes(), address, REQUEST_TIMEOUT).await;
        let got = sent.map_err(|error| format!("{method} {path}: {error}"))?;
        if got != status {
            return Err(format!(
                "{method} {path} was answered with status {got}, expected {status}"
            ));
        }
    }
    Ok(())
}

/// Whether a service has to be seeded.
#[must_use]
pub fn is_needed(service: &Service) -> bool {
    let described = service.description();
    described.is_some_and(|described| !described.description().seed.is_empty())
}

#[cfg(test)]
mod tests;
