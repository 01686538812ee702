//! The consumer of results: this instance's partition of each result topic, from its end at startup.

use std::sync::Arc;
use std::time::Instant;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::topic_partition_list::Offset;

use super::BusError;
use super::client::{CONNECT_DEADLINE, Context, RETRY_INTERVAL, Settings, bad_options, blocking};
use super::topics::{self, Layout};

/// A consumer of the results for this instance; `None` if the service has no dependencies.
///
/// The end of each partition is queried here instead of by the client later, so that no result sent after this function
/// returns is missed.
pub(super) async fn of_results(
    settings: &Settings,
    layout: &Layout,
    context: Context,
) -> Result<Option<Arc<StreamConsumer<Context>>>, BusError> {
    let dependencies = settings.service.dependencies();
    if dependencies.is_empty() {
        return Ok(None);
    }
    let partition = layout.result_partition(settings.service, settings.instance);
    // librdkafka requires a group id although no group is joined.
    let group = format!("{}{}-results", settings.prefix, settings.service);
    let config = settings.consumer(&[
        ("group.id", &group),
        ("enable.auto.commit", "false"),
        ("auto.offset.reset", "latest"),
    ]);
    let consumer: StreamConsumer<Context> = config
        .create_with_context(context)
        .map_err(|error| bad_options(&error))?;
    let mut list = TopicPartitionList::new();
    let names: Vec<_> = dependencies
        .iter()
        .filter_map(|it| topics::results(&settings.prefix, *it))
        .collect();
    let consumer = Arc::new(consumer);
    for topic in &names {
        let end = end_offset(&consumer, topic, partition).await?;
        list.add_partition_offset(topic, partition, Offset::Offset(end))
            .map_err(|error| bad_options(&error))?;
    }
    consumer.assign(&list).map_err(|error| bad_options(&error))?;
    Ok(Some(consumer))
}

/// The end offset of a partition. Retries because a new topic has no leader for a moment.
async fn end_offset(consumer: &Arc<StreamConsumer<Context>>, topic: &str, partition: i32) -> Result<i64, BusError> {
    let deadline = Instant::now() + CONNECT_DEADLINE;
    loop {
        let (consumer, name) = (Arc::clone(consumer), topic.to_owned());
        let end = blocking(move || Ok(consumer.fetch_watermarks(&name, partition, CONNECT_DEADLINE))).await?;
        match end {
            Ok((_, end)) => return Ok(end),
            Err(error) if Instant::now() > deadline => {
                return Err(BusError::Topic {
                    topic: topic.to_owned(),
                    reason: error.to_string(),
                });
            }
            Err(_) => tokio::time::sleep(RETRY_INTERVAL).await,
        }
    }
}
