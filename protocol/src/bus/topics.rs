//! The topics of the conversation: their names, and making those that are missing.

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use tracing::info;

use super::client::{Context, bad_options, settings};
use super::{BusConfig, BusError, CONNECT_DEADLINE, diagnose};

/// What controllers say.
pub(super) fn commands(config: &BusConfig) -> String {
    format!("{}controller", config.prefix)
}

/// What runners say.
pub(super) fn events(config: &BusConfig) -> String {
    format!("{}runner", config.prefix)
}

/// What runners measure.
pub(super) fn samples(config: &BusConfig) -> String {
    format!("{}samples", config.prefix)
}

/// Looks for the topics and makes those that are missing.
///
/// # Errors
/// [`BusError::Unreachable`] after [`CONNECT_DEADLINE`]; [`BusError::Topic`] where the broker refuses.
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
    let answers = admin
        .create_topics(&new, &options)
        .await
        .map_err(|error| refused(&missing.join(", "), error.to_string()))?;
    for answer in answers {
        match answer {
            Ok(topic) => info!(topic, "made a topic"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {} // the other end was quicker
            Err((topic, code)) => return Err(refused(&topic, code.to_string())),
        }
    }
    Ok(())
}

/// The topics that the broker does not have.
async fn missing(config: BusConfig) -> Result<Vec<String>, BusError> {
    blocking(move || {
        let client: BaseConsumer<Context> = settings(&config, &[])
            .create_with_context(Context::default())
            .map_err(|error| bad_options(&error))?;
        let metadata = client
            .fetch_metadata(None, CONNECT_DEADLINE)
            .map_err(|_| BusError::Unreachable {
                brokers: config.brokers.clone(),
                why: diagnose::unreachable(&config.brokers),
            })?;
        let there: Vec<&str> = metadata
            .topics()
            .iter()
            .map(rdkafka::metadata::MetadataTopic::name)
            .collect();
        let wanted = [commands(&config), events(&config), samples(&config)];
        Ok(wanted
            .into_iter()
            .filter(|name| !there.contains(&name.as_str()))
            .collect())
    })
    .await
}

/// Runs a blocking call of librdkafka beside the runtime.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BusError> + Send + 'static,
) -> Result<T, BusError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(BusError::Fatal { why: error.to_string() }),
    }
}
