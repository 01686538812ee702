//! Listening to results: the own partition of each result topic, from the end it had at start-up.

use std::sync::Arc;
use std::time::Instant;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::topic_partition_list::Offset;

use super::BusError;
use super::client::{CONNECT_DEADLINE, Context, RETRY, Settings, bad_options, blocking};
use super::topics::{self, Layout};

/// A consumer of the results that this instance may wait for; `None` if it asks nobody.
///
/// The end of each partition is asked for here and not left to the client to find later, so that a result sent right
/// after this returns is not missed.
pub(super) async fn of_results(
    settings: &Settings,
    layout: &Layout,
    context: Context,
) -> Result<Option<Arc<StreamConsumer<Context>>>, BusError> {
    let asked = settings.service.asks();
    if asked.is_empty() {
        return Ok(None);
    }
    let mine = layout.mine(settings.service, settings.instance);
    // A group is asked for by librdkafka even where, as here, none is joined.
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
    let names: Vec<_> = asked
        .iter()
        .filter_map(|it| topics::results(&settings.prefix, *it))
        .collect();
    let consumer = Arc::new(consumer);
    for topic in &names {
        let end = end_of(&consumer, topic, mine).await?;
        list.add_partition_offset(topic, mine, Offset::Offset(end))
            .map_err(|error| bad_options(&error))?;
    }
    consumer.assign(&list).map_err(|error| bad_options(&error))?;
    Ok(Some(consumer))
}

/// The end of a partition. A topic that was just made has no leader for a moment.
async fn end_of(consumer: &Arc<StreamConsumer<Context>>, topic: &str, partition: i32) -> Result<i64, BusError> {
    let deadline = Instant::now() + CONNECT_DEADLINE;
    loop {
        let (consumer, name) = (Arc::clone(consumer), topic.to_owned());
        let end = blocking(move || Ok(consumer.fetch_watermarks(&name, partition, CONNECT_DEADLINE))).await?;
        match end {
            Ok((_, end)) => return Ok(end),
            Err(error) if Instant::now() > deadline => {
                return Err(BusError::Topic {
                    topic: topic.to_owned(),
                    why: error.to_string(),
                });
            }
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}
