//! The broker, if it is ours, and the connection to the runner.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, StartError};
use protocol::bus::{BusConfig, connect_controller};
use protocol::envelope::unix_ms;
use protocol::facts::HostFacts;
use protocol::ids::Epoch;
use protocol::load::MachineFacts;
use protocol::sign::SigningKey;
use protocol::spec::PlatformSpec;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::CampaignError;
use crate::conduct::link::Link;
use crate::conduct::switch::lines;
use crate::config::{Brokers, EmbeddedBroker, Experiment, Kafka, Platform};
use crate::fleet::{Fleet, SharedFleet};
use crate::plan::Plan;
use analysis::store::{ExperimentRecord, Manifest, Source};

/// The connection to the runner, and the broker in between if it is ours.
#[derive(Debug)]
pub struct Session {
    /// The conversation with the runner.
    pub link: Link,
    /// The loaders; `None`: the controller fires the load itself.
    pub fleet: Option<SharedFleet>,
    broker: Option<Broker>,
}

impl Session {
    /// Starts the broker if it is ours, and connects.
    ///
    /// # Errors
    /// [`CampaignError::Broker`], [`CampaignError::BrokerFiles`], [`CampaignError::Bus`], [`CampaignError::Key`].
    pub async fn open(experiment: &Experiment) -> Result<Self, CampaignError> {
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
        let ends = lines(events, hosts()).into_iter().zip(hosts());
        let mut links = ends.map(|(line, host)| Link::new(commands.clone(), line, host.clone()));
        let link = links.next().ok_or(CampaignError::Interrupted)?;
        let loaders: Vec<Link> = links.collect();
        Ok(Self {
            link,
            fleet: (!loaders.is_empty()).then(|| Arc::new(Mutex::new(Fleet::new(loaders)))),
            broker,
        })
    }

    /// Asks the runner about its host and the experiment's platforms.
    ///
    /// # Errors
    /// [`CampaignError::Runner`]; [`CampaignError::Interrupted`].
    pub async fn describe(
        &mut self,
        experiment: &Experiment,
        shutdown: &CancellationToken,
    ) -> Result<HostFacts, CampaignError> {
        let specs: Vec<PlatformSpec> = experiment
            .platforms
            .iter()
            .map(|platform| platform.spec.clone())
            .collect();
        tokio::select! {
            facts = self.link.describe(&specs, experiment.deadlines.runner) => Ok(facts?),
            () = shutdown.cancelled() => Err(CampaignError::Interrupted),
        }
    }

    /// Asks every loader about its machine; none: there are none to ask.
    ///
    /// # Errors
    /// [`CampaignError::Runner`] for the first that does not answer in time; [`CampaignError::Interrupted`].
    pub async fn muster(
        &mut self,
        experiment: &Experiment,
        shutdown: &CancellationToken,
    ) -> Result<Vec<MachineFacts>, CampaignError> {
        let Some(fleet) = &self.fleet else {
            return Ok(Vec::new());
        };
        let mut fleet = fleet.lock().await;
        tokio::select! {
            facts = fleet.muster(experiment.deadlines.runner) => Ok(facts?),
            () = shutdown.cancelled() => Err(CampaignError::Interrupted),
        }
    }

    /// Ends the broker gracefully if it is ours.
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

/// The address under which this process itself reaches a listener.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The bus as the experiment has it, at these brokers.
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

/// The plan without the platforms that cannot be used and need not be, and a line for each of those.
///
/// # Errors
/// [`CampaignError::Unmet`] for one that is `needed`, or when none is left.
pub fn usable(
    experiment: &Experiment,
    mut plan: Plan,
    facts: &HostFacts,
    needed: impl Fn(&Platform) -> bool,
) -> Result<(Plan, Vec<String>), CampaignError> {
    let (mut left_out, mut refused) = (vec![], vec![]);
    // The answers come in the order of the questions.
    for (index, (platform, answer)) in experiment.platforms.iter().zip(&facts.platforms).enumerate() {
        let Some(unmet) = &answer.unmet else { continue };
        let line = format!(
            "platform {} cannot be used on {}: {}: {}",
            platform.name, facts.host, unmet.need, unmet.remedy
        );
        if needed(platform) {
            refused.push(line);
        } else {
            plan = plan.without_platform(index);
            left_out.push(format!("{line} (it is optional and left out)"));
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

/// A run is resumed with the file that it was begun with, and without overrides that make another experiment of it: anything else would
/// put two experiments into one table.
///
/// # Errors
/// [`CampaignError::OtherExperiment`].
pub fn same_experiment(manifest: &Manifest, experiment: &Experiment, source: &Source) -> Result<(), CampaignError> {
    let mut now = ExperimentRecord::from(experiment);
    let then = &manifest.experiment;
    // Optional platforms may have been left out when the run began, and with them the baseline.
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
