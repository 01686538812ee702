//! Fetch: responds immediately when `min_bytes` are available, else waits for appends up to `max_wait_ms`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchRequest, FetchResponse, ResponseKind};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::{Instant, timeout_at};
use tracing::error;

use super::context::{RequestContext, Response, check_leader_epoch};
use crate::topics::Topic;

/// Upper bound of `max_wait_ms`, so that dead connections are noticed.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// The content of a response.
struct FetchedData {
    topics: Vec<FetchableTopicResponse>,
    bytes: usize,
    failed: bool,
}

/// Reads records, and waits for more while there are fewer than `min_bytes` and no partition has failed.
pub async fn fetch(context: RequestContext<'_>, request: FetchRequest) -> Response {
    if request.session_id != 0 && request.session_epoch > 0 {
        let response = FetchResponse::default().with_error_code(ResponseError::FetchSessionIdNotFound.code());
        return ResponseKind::Fetch(response).into();
    }
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(MAX_WAIT);
    let deadline = Instant::now() + wait;
    let enough = usize::try_from(request.min_bytes)
        .unwrap_or(0)
        .min(context.node.config.memory_limit.fetch_bytes);
    let appended = Arc::new(Notify::new());
    loop {
        watch(context, &request, &appended);
        let (fetched, memory) = read(context, &request).await;
        if fetched.bytes >= enough || fetched.failed || Instant::now() >= deadline {
            let response = FetchResponse::default()
                .with_session_id(0)
                .with_responses(fetched.topics);
            return Response {
                body: Some(ResponseKind::Fetch(response)),
                memory,
            };
        }
        drop((fetched, memory));
        let _elapsed = timeout_at(deadline, appended.notified()).await;
    }
}

fn resolve_topic(context: RequestContext<'_>, wanted: &FetchTopic) -> Option<Arc<Topic>> {
    let topics = &context.node.topics;
    if context.version >= 13 {
        topics.by_id(wanted.topic_id)
    } else {
        topics.get(&wanted.topic)
    }
}

/// Registers for appends. Done before reading, so that no append between the read and the wait is missed.
fn watch(context: RequestContext<'_>, request: &FetchRequest, appended: &Arc<Notify>) {
    for wanted in &request.topics {
        let Some(topic) = resolve_topic(context, wanted) else {
            continue;
        };
        let partitions = wanted
            .partitions
            .iter()
            .filter_map(|partition| topic.partition(partition.partition));
        partitions.for_each(|partition| partition.notify_on_change(appended));
    }
}

/// Reads the partitions in the order of the request, within the limits of the client and of the broker's memory.
async fn read(context: RequestContext<'_>, request: &FetchRequest) -> (FetchedData, Option<OwnedSemaphorePermit>) {
    let limit = context.node.config.memory_limit.fetch_bytes;
    let limit = usize::try_from(request.max_bytes).unwrap_or(0).min(limit);
    let mut fetched = FetchedData {
        topics: Vec::new(),
        bytes: 0,
        failed: false,
    };
    let largest = limit.max(context.node.config.max_batch);
    let permits = u32::try_from(largest).unwrap_or(u32::MAX);
    let memory = Arc::clone(&context.node.fetch_memory)
        .acquire_many_owned(permits)
        .await
        .ok();
    for wanted in &request.topics {
        let topic = resolve_topic(context, wanted);
        let mut partitions = Vec::new();
        for partition in &wanted.partitions {
            let data = read_partition(context, topic.as_deref(), partition, limit, &mut fetched);
            partitions.push(data);
        }
        fetched.topics.push(
            FetchableTopicResponse::default()
                .with_topic(wanted.topic.clone())
                .with_topic_id(wanted.topic_id)
                .with_partitions(partitions),
        );
    }
    // Unused memory is released; used memory stays reserved until the response is sent.
    let memory = memory.and_then(|mut memory| memory.split(fetched.bytes.min(largest)));
    (fetched, memory)
}

fn read_partition(
    context: RequestContext<'_>,
    topic: Option<&Topic>,
    wanted: &FetchPartition,
    limit: usize,
    fetched: &mut FetchedData,
) -> PartitionData {
    let data = PartitionData::default()
        .with_partition_index(wanted.partition)
        .with_high_watermark(-1)
        .with_aborted_transactions(None)
        .with_records(Some(Bytes::new()));
    let remaining = limit.saturating_sub(fetched.bytes);
    let max_bytes = usize::try_from(wanted.partition_max_bytes).unwrap_or(0).min(remaining);
    let unknown = match topic {
        None if context.version >= 13 => ResponseError::UnknownTopicId,
        _ => ResponseError::UnknownTopicOrPartition,
    };
    let partition = topic.and_then(|topic| topic.partition(wanted.partition)).ok_or(unknown);
    let read = partition.and_then(|partition| {
        let log = partition.log();
        let data = data
            .clone()
            .with_high_watermark(log.end())
            .with_last_stable_offset(log.end());
        let data = data.with_log_start_offset(log.start());
        check_leader_epoch(wanted.current_leader_epoch)?;
        if wanted.fetch_offset < log.start() || wanted.fetch_offset > log.end() {
            return Err(ResponseError::OffsetOutOfRange);
        }
        let records = log
            .read(wanted.fetch_offset, max_bytes, fetched.bytes == 0)
            .map_err(|error| {
                error!(%error, "failed to read records");
                ResponseError::KafkaStorageError
            })?;
        Ok(data.with_records(Some(records)))
    });
    match read {
        Ok(data) => {
            fetched.bytes += data.records.as_ref().map_or(0, Bytes::len);
            data
        }
        Err(error) => {
            fetched.failed = true;
            // Same as Apache Kafka: null for a known partition, empty for an unknown one.
            let aborted = (error == unknown).then(Vec::new);
            data.with_aborted_transactions(aborted).with_error_code(error.code())
        }
    }
}
