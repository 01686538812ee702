//! Topic names, creation of missing topics, and the diagnosis of unreachable brokers.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use tracing::info;

use super::client::{Context, bad_options, settings};
use super::config::{BusConfig, BusError, CONNECT_DEADLINE};

/// The topic of commands.
pub(super) fn commands(config: &BusConfig) -> String {
    format!("{}controller", config.prefix)
}

/// The topic of events.
pub(super) fn events(config: &BusConfig) -> String {
    format!("{}runner", config.prefix)
}

/// The topic of samples and chunks.
pub(super) fn samples(config: &BusConfig) -> String {
    format!("{}samples", config.prefix)
}

/// Creates the topics that do not exist.
///
/// # Errors
/// [`BusError::Unreachable`] after [`CONNECT_DEADLINE`]; [`BusError::Topic`] if the broker refuses.
pub(super) async fn ensure(config: &BusConfig) -> Result<(), BusError> {
    let missing = missing(config.clone()).await?;
    if missing.is_empty() {
        return Ok(());
    }
    let admin: AdminClient<DefaultClientContext> = settings(config, &[("log_level", "0")])
        .create()
        .map_err(|error| bad_options(&error))?;
    let retention_ms = config.retention.as_millis().to_string();
    let new: Vec<_> = missing
        .iter()
        .map(|name| {
            NewTopic::new(name, config.partitions, TopicReplication::Fixed(config.replication))
                .set("retention.ms", &retention_ms)
        })
        .collect();
    let options = AdminOptions::new()
        .operation_timeout(Some(CONNECT_DEADLINE))
        .request_timeout(Some(CONNECT_DEADLINE));
    let refused = |topic: &str, why: String| BusError::Topic {
        topic: topic.to_owned(),
        partitions: config.partitions,
        replication: config.replication,
        why,
    };
    let results = admin
        .create_topics(&new, &options)
        .await
        .map_err(|error| refused(&missing.join(", "), error.to_string()))?;
    for result in results {
        match result {
            Ok(topic) => info!(topic, "created a topic"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {} // a peer created it concurrently
            Err((topic, code)) => return Err(refused(&topic, code.to_string())),
        }
    }
    Ok(())
}

/// The topics that do not exist on the broker.
async fn missing(config: BusConfig) -> Result<Vec<String>, BusError> {
    blocking(move || {
        let client: BaseConsumer<Context> = settings(&config, &[])
            .create_with_context(Context::default())
            .map_err(|error| bad_options(&error))?;
        let metadata = client
            .fetch_metadata(None, CONNECT_DEADLINE)
            .map_err(|_| BusError::Unreachable {
                brokers: config.brokers.clone(),
                why: probe_brokers(&config.brokers),
            })?;
        let existing: Vec<&str> = metadata
            .topics()
            .iter()
            .map(rdkafka::metadata::MetadataTopic::name)
            .collect();
        let wanted = [commands(&config), events(&config), samples(&config)];
        Ok(wanted
            .into_iter()
            .filter(|name| !existing.contains(&name.as_str()))
            .collect())
    })
    .await
}

/// Runs a blocking librdkafka call outside the async runtime.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BusError> + Send + 'static,
) -> Result<T, BusError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(BusError::Fatal { why: error.to_string() }),
    }
}

/// Timeout of a probe connection.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// The result of a plain TCP connection to each broker of the list: librdkafka only reports that the transport failed.
fn probe_brokers(brokers: &str) -> String {
    let results: Vec<String> = brokers
        .split(',')
        .map(|broker| format!("{}: {}", broker.trim(), probe_broker(broker.trim())))
        .collect();
    results.join("; ")
}

fn probe_broker(broker: &str) -> String {
    // A protocol may precede the address (`SASL_SSL://host:port`).
    let address = broker.rsplit_once("//").map_or(broker, |(_, address)| address);
    let resolved = match address.to_socket_addrs() {
        Ok(mut addresses) => addresses.next(),
        Err(error) => return format!("invalid address, {error}"),
    };
    let Some(address) = resolved else {
        return "no address found".to_owned();
    };
    match TcpStream::connect_timeout(&address, PROBE_TIMEOUT) {
        Ok(_) => {
            "accepts connections but does not respond as a Kafka broker with these options (TLS, SASL?)".to_owned()
        }
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn every_broker_is_listed_with_its_error() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let why = probe_brokers(&format!("127.0.0.1:1, 127.0.0.1:{port},nonsense"));
        assert!(why.starts_with("127.0.0.1:1: Connection refused"), "{why}");
        assert!(
            why.contains("accepts connections but") && why.contains("nonsense: invalid address"),
            "{why}"
        );
    }
}
