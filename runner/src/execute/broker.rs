//! The broker of the services' own, as a service beside them.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use deploy::{Host, network};
use protocol::AttemptId;
use protocol::spec::{ConnectsProbe, Probe, ServiceSpec, Transport};
use protocol::surroundings::{BROKER, BrokerProgram, BrokerSpec, Place};

use super::batches::Site;

/// The programs besides the workload that a runner can start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// This project's own broker.
    pub broker: PathBuf,
    /// The script that runs Apache Kafka.
    pub kafka: PathBuf,
}

impl Programs {
    /// The program of a broker.
    #[must_use]
    pub fn of(&self, program: BrokerProgram) -> &Path {
        match program {
            BrokerProgram::Own => &self.broker,
            BrokerProgram::Apache => &self.kafka,
        }
    }

    /// Why a broker cannot be started here; `None`: its program is there.
    #[must_use]
    pub fn missing(&self, program: BrokerProgram) -> Option<String> {
        let path = self.of(program);
        let remedy = match program {
            BrokerProgram::Own => {
                "build it (`cargo build --release -p broker`), or name it in the runner's key `broker`"
            }
            BrokerProgram::Apache => "name deploy/kafka/kafka.sh in the runner's key `apache_kafka`",
        };
        (!path.is_file()).then(|| {
            format!(
                "there is no program {} for the services' broker: {remedy}",
                path.display()
            )
        })
    }
}

/// The broker as a service. Both programs understand the same options.
pub(super) fn service(spec: &BrokerSpec, site: &Site<'_>) -> ServiceSpec {
    let mut args: Vec<String> = match spec.program {
        BrokerProgram::Own => vec!["--fsync".into(), "never".into()],
        BrokerProgram::Apache => vec!["run".into()],
    };
    let data = data(site.host, site.attempt);
    args.extend([
        "--data".into(),
        data.display().to_string(),
        "--listen".into(),
        format!("{{listen}}={}", SocketAddr::from((site.host.address, spec.port))),
    ]);
    if let Some(door) = site.door {
        let beyond = beyond(spec, door.seen);
        let listen = SocketAddr::from((door.bind, beyond.port()));
        args.extend(["--listen".into(), format!("{listen}={beyond}")]);
    }
    ServiceSpec {
        name: name(),
        place: Place::Beside,
        args,
        port: Some(spec.port),
        ready: Probe::Connects(ConnectsProbe {}),
    }
}

/// Where services on a platform with a network of its own reach the broker.
pub(super) fn beyond(spec: &BrokerSpec, seen: IpAddr) -> SocketAddr {
    (seen, spec.port.saturating_add(1)).into()
}

/// The broker's second port is not any service's, so it is looked at here.
pub(super) fn leftover(spec: &BrokerSpec, site_door: Option<deploy::HostGateway>) -> Option<String> {
    let door = site_door?;
    let listen = SocketAddr::from((door.bind, beyond(spec, door.seen).port()));
    network::is_taken(Transport::Tcp, listen).then(|| format!("port {listen} of {BROKER}"))
}

/// Where the broker of an attempt keeps its files.
pub(super) fn data(host: &Host, attempt: AttemptId) -> PathBuf {
    host.state.join("data").join(attempt.to_string())
}

#[expect(clippy::expect_used, reason = "the constant is a name")]
fn name() -> protocol::Name {
    BROKER.parse().expect("a name")
}
