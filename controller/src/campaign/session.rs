//! The embedded broker, if configured, and the connections to runner and loaders.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, StartError};
use protocol::bus::{BusConfig, connect_controller};
use protocol::command::Describe;
use protocol::envelope::unix_ms;
use protocol::facts::HostFacts;
use protocol::ids::Epoch;
use protocol::load::{MachineFacts, Transport};
use protocol::sign::SigningKey;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::error::CampaignError;
use crate::config::{Brokers, EmbeddedBroker, Experiment, Kafka, Platform, WorkloadKind};
use crate::fleet::{Fleet, SharedFleet};
use crate::peer::demux::events_by_host;
use crate::peer::link::Link;
use crate::plan::Plan;
use analysis::store::{ExperimentRecord, Manifest, Source};

/// The connections to runner and loaders, and the embedded broker.
#[derive(Debug)]
pub struct Session {
    /// The connection to the runner.
    pub link: Link,
    /// The loaders; `None`: the controller generates the load.
    pub fleet: Option<SharedFleet>,
    broker: Option<Broker>,
}

impl Session {
    /// Starts the embedded broker, if configured, and connects.
    ///
    /// # Errors
    /// [`CampaignError::Broker`], [`CampaignError::BrokerFiles`], [`CampaignError::Bus`], [`CampaignError::Key`], [`CampaignError::Interrupted`].
    pub async fn open(experiment: &Experiment, shutdown: &CancellationToken) -> Result<Self, CampaignError> {
        tokio::select! {
            session = Self::connect(experiment) => session,
            () = shutdown.cancelled() => Err(CampaignError::Interrupted),
        }
    }

    async fn connect(experiment: &Experiment) -> Result<Self, CampaignError> {
        let (broker, brokers) = match &experiment.kafka.brokers {
            Brokers::External(brokers) => (None, brokers.clone()),
            Brokers::Embedded(embedded) => {
                let broker = start(embedded, experiment.kafka.retention).await?;
                let address = broker.addresses().first().copied().unwrap_or(embedded.listen);
                (Some(broker), reachable(address).to_string())
            }
        };
        let config = bus_config(&experiment.kafka, brokers)?;
        let epoch = Epoch(unix_ms());
        let (commands, events) = connect_controller(&config, &experiment.controller, epoch).await?;
        let hosts = || std::iter::once(&experiment.host).chain(&experiment.loaders);
        let streams = events_by_host(events, hosts()).into_iter().zip(hosts());
        let mut links = streams.map(|(events, host)| Link::new(commands.clone(), events, host.clone()));
        let link = links.next().ok_or(CampaignError::Interrupted)?;
        let loaders: Vec<Link> = links.collect();
        Ok(Self {
            link,
            fleet: (!loaders.is_empty()).then(|| Arc::new(Mutex::new(Fleet::new(loaders)))),
            broker,
        })
    }

    /// Requests the host facts, and whether the experiment's platforms are available.
    ///
    /// # Errors
    /// [`CampaignError::Runner`]; [`CampaignError::Interrupted`].
    pub async fn describe(
        &mut self,
        experiment: &Experiment,
        shutdown: &CancellationToken,
    ) -> Result<HostFacts, CampaignError> {
        let platforms = experiment.platforms.iter();
        let services = experiment.described().into_iter();
        let describe = Describe {
            platforms: platforms.map(|platform| platform.spec.clone()).collect(),
            services: services.map(|(_, entry)| entry.spec.clone()).collect(),
        };
        tokio::select! {
            facts = self.link.describe(describe, experiment.deadlines.runner) => Ok(facts?),
            () = shutdown.cancelled() => Err(CampaignError::Interrupted),
        }
    }

    /// Requests the host facts of every loader; empty without loaders.
    ///
    /// # Errors
    /// [`CampaignError::Runner`] for the first loader that does not answer in time; [`CampaignError::Interrupted`].
    pub async fn describe_loaders(
        &mut self,
        experiment: &Experiment,
        shutdown: &CancellationToken,
    ) -> Result<Vec<MachineFacts>, CampaignError> {
        let Some(fleet) = &self.fleet else {
            return Ok(Vec::new());
        };
        let mut fleet = fleet.lock().await;
        tokio::select! {
            facts = fleet.describe(experiment.deadlines.runner) => Ok(facts?),
            () = shutdown.cancelled() => Err(CampaignError::Interrupted),
        }
    }

    /// Stops the embedded broker gracefully.
    pub async fn close(self) {
        // The clients close first: their last commits need the broker.
        drop((self.link, self.fleet));
        if let Some(broker) = self.broker {
            broker.stop().await;
        }
    }
}

async fn start(embedded: &EmbeddedBroker, retention: Duration) -> Result<Broker, CampaignError> {
    let listener = broker::Listener {
        bind: embedded.listen,
        advertise: embedded.advertise.clone(),
    };
    let mut config = broker::Config {
        listeners: vec![listener],
        data: embedded.data.clone(),
        ..broker::Config::default()
    };
    config.retention.age = Some(retention);
    Broker::start(config).await.map_err(|error| match error {
        StartError::Storage(error) => CampaignError::BrokerFiles(error),
        error => CampaignError::Broker(error),
    })
}

/// The address at which this process reaches a listener.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The bus configuration of an experiment, with these brokers.
///
/// # Errors
/// [`CampaignError::Key`].
pub fn bus_config(kafka: &Kafka, brokers: String) -> Result<BusConfig, CampaignError> {
    let key = kafka.key_file.as_ref().map(|path| {
        SigningKey::read(path).map_err(|error| CampaignError::Key {
            path: path.clone(),
            why: error.to_string(),
        })
    });
    Ok(BusConfig {
        brokers,
        prefix: kafka.prefix.clone(),
        partitions: kafka.partitions,
        replication: kafka.replication,
        retention: kafka.retention,
        options: kafka.options.clone(),
        key: key.transpose()?,
    })
}

/// The plan without unavailable platforms that are not `required`, and without the cells of services that cannot run on such a platform; with a line
/// for each of those.
///
/// # Errors
/// [`CampaignError::Unmet`] if a `required` platform is unavailable or lacks a service, if a service is not what the experiment says, or if no cell is
/// left.
pub fn usable_plan(
    experiment: &Experiment,
    mut plan: Plan,
    facts: &HostFacts,
    required: impl Fn(&Platform) -> bool,
) -> Result<(Plan, Vec<String>), CampaignError> {
    let (mut left_out, mut refused) = (vec![], vec![]);
    // Replies are in the order of the requested platforms.
    for (index, (platform, answer)) in experiment.platforms.iter().zip(&facts.platforms).enumerate() {
        let Some(unmet) = &answer.unmet else { continue };
        let line = format!(
            "platform {} is unavailable on {}: {}: {}",
            platform.name, facts.host, unmet.need, unmet.remedy
        );
        if required(platform) {
            refused.push(line);
        } else {
            plan = plan.without_platform(index);
            left_out.push(format!("{line} (optional, left out)"));
        }
    }
    for lack in lacking_services(experiment, facts) {
        let Some(index) = lack.platform.filter(|&index| !required(&experiment.platforms[index])) else {
            refused.push(lack.line);
            continue;
        };
        if plan.has(index, lack.workload) {
            plan = plan.without_workload(index, lack.workload);
            left_out.push(format!("{} (optional, left out)", lack.line));
        }
    }
    if refused.is_empty() && plan.trials.is_empty() {
        refused.clone_from(&left_out);
    }
    if refused.is_empty() {
        Ok((plan, left_out))
    } else {
        Err(CampaignError::Unmet { platforms: refused })
    }
}

/// A service that cannot run as the experiment says.
struct Lack {
    /// The platform on which it cannot; `None`: on none.
    platform: Option<usize>,
    workload: usize,
    line: String,
}

/// The services that cannot run on platforms that are available, for cells of the plan.
fn lacking_services(experiment: &Experiment, facts: &HostFacts) -> Vec<Lack> {
    let mut lacking: Vec<Lack> = Vec::new();
    // Replies are in the order of the requested services and platforms.
    for ((workload, entry), answer) in experiment.described().into_iter().zip(&facts.services) {
        let name = &experiment.workloads[workload].name;
        let is_front = matches!(&experiment.workloads[workload].kind, WorkloadKind::Service(it) if it.front == *entry);
        if let Some(protocol) = answer
            .protocol
            .filter(|&protocol| is_front && protocol != entry.protocol)
        {
            lacking.push(Lack {
                platform: None,
                workload,
                line: match (protocol, entry.protocol) {
                    (Transport::Task, _) => {
                        format!("workload {name}: its description is that of a task: write kind = \"task\"")
                    }
                    (_, Transport::Task) => format!(
                        "workload {name}: its description is that of a service: write kind = \"service\", or add [task] to the description"
                    ),
                    _ => format!(
                        "workload {name}: its service speaks {0:?}, not {1:?}: write protocol = {0:?} in the experiment",
                        protocol.as_str(),
                        entry.protocol.as_str()
                    ),
                },
            });
            continue;
        }
        let platforms = experiment.platforms.iter().zip(&answer.unmet).enumerate();
        for (index, (platform, unmet)) in platforms {
            let is_used = experiment
                .loads
                .iter()
                .any(|load| !experiment.skips(&platform.name, &experiment.workloads[workload], load));
            let is_available = facts.platforms.get(index).is_none_or(|facts| facts.unmet.is_none());
            if let (Some(unmet), true, true) = (unmet, is_used, is_available) {
                lacking.push(Lack {
                    platform: Some(index),
                    workload,
                    line: format!(
                        "workload {name} on platform {}: {}: {}",
                        platform.name, unmet.need, unmet.remedy
                    ),
                });
            }
        }
    }
    lacking
}

/// The lines about services that cannot run on this host as the experiment says.
#[must_use]
pub fn service_problems(experiment: &Experiment, facts: &HostFacts) -> Vec<String> {
    let lacking = lacking_services(experiment, facts);
    lacking.into_iter().map(|lack| lack.line).collect()
}

/// A run can only be resumed with its own experiment file and without overrides that change the experiment: anything else would
/// mix two experiments.
///
/// # Errors
/// [`CampaignError::OtherExperiment`].
pub fn check_same_experiment(
    manifest: &Manifest,
    experiment: &Experiment,
    source: &Source,
) -> Result<(), CampaignError> {
    let mut now = ExperimentRecord::from(experiment);
    let then = &manifest.experiment;
    // Unavailable optional platforms were left out when the run began, possibly including the baseline.
    now.platforms.retain(|platform| then.platforms.contains(platform));
    now.baseline.clone_from(&then.baseline);
    if manifest.source.sum == source.sum && now == *then {
        return Ok(());
    }
    Err(CampaignError::OtherExperiment {
        run: manifest.run.to_string(),
        file: source.path.clone(),
    })
}
