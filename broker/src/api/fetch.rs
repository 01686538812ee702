//! Fetch: answers at once when enough is there, else waits for appends until the client's patience ends.

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

use super::Caller;
use crate::connection::Answer;
use crate::topics::Topic;

/// Longest wait, whatever the client asks for: bounds how long a dead connection goes unnoticed.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What has been gathered for an answer.
struct Gathered {
    topics: Vec<FetchableTopicResponse>,
    bytes: usize,
    failed: bool,
}

/// Reads what is there; waits while it is less than `min_bytes` and nothing has failed.
pub async fn fetch(caller: Caller<'_>, request: FetchRequest) -> Answer {
    if request.session_id != 0 && request.session_epoch > 0 {
        return error(ResponseError::FetchSessionIdNotFound);
    }
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(LONGEST_WAIT);
    let deadline = Instant::now() + wait;
    let enough = usize::try_from(request.min_bytes)
        .unwrap_or(0)
        .min(caller.node.config.memory_limit.fetch_bytes);
    let grown = Arc::new(Notify::new());
    loop {
        watch(caller, &request, &grown);
        let (gathered, share) = gather(caller, &request).await;
        if gathered.bytes >= enough || gathered.failed || Instant::now() >= deadline {
            let response = FetchResponse::default()
                .with_session_id(0)
                .with_responses(gathered.topics);
            return Answer {
                body: Some(ResponseKind::Fetch(response)),
                share,
            };
        }
        drop((gathered, share));
        let _late = timeout_at(deadline, grown.notified()).await;
    }
}

fn error(error: ResponseError) -> Answer {
    ResponseKind::Fetch(FetchResponse::default().with_error_code(error.code())).into()
}

fn resolve(caller: Caller<'_>, wanted: &FetchTopic) -> Option<Arc<Topic>> {
    let topics = &caller.node.topics;
    if caller.version >= 13 {
        topics.by_id(wanted.topic_id)
    } else {
        topics.get(&wanted.topic)
    }
}

/// Watches before reading, so that no append between reading and waiting goes unnoticed.
fn watch(caller: Caller<'_>, request: &FetchRequest, grown: &Arc<Notify>) {
    for wanted in &request.topics {
        let Some(topic) = resolve(caller, wanted) else {
            continue;
        };
        let partitions = wanted
            .partitions
            .iter()
            .filter_map(|partition| topic.partition(partition.partition));
        partitions.for_each(|partition| partition.watch(grown));
    }
}

/// Reads each partition in the order asked, within the limits of the client and of the broker's memory.
async fn gather(caller: Caller<'_>, request: &FetchRequest) -> (Gathered, Option<OwnedSemaphorePermit>) {
    let limit = caller.node.config.memory_limit.fetch_bytes;
    let limit = usize::try_from(request.max_bytes).unwrap_or(0).min(limit);
    let mut gathered = Gathered {
        topics: Vec::new(),
        bytes: 0,
        failed: false,
    };
    let largest = limit.max(caller.node.config.max_batch);
    let permits = u32::try_from(largest).unwrap_or(u32::MAX);
    let share = Arc::clone(&caller.node.fetch_budget)
        .acquire_many_owned(permits)
        .await
        .ok();
    for wanted in &request.topics {
        let topic = resolve(caller, wanted);
        let mut partitions = Vec::new();
        for partition in &wanted.partitions {
            let data = one_partition(caller, topic.as_deref(), partition, limit, &mut gathered);
            partitions.push(data);
        }
        gathered.topics.push(
            FetchableTopicResponse::default()
                .with_topic(wanted.topic.clone())
                .with_topic_id(wanted.topic_id)
                .with_partitions(partitions),
        );
    }
    // What was reserved and not used goes back; what is used stays reserved until it is sent.
    let share = share.and_then(|mut share| share.split(gathered.bytes.min(largest)));
    (gathered, share)
}

fn one_partition(
    caller: Caller<'_>,
    topic: Option<&Topic>,
    wanted: &FetchPartition,
    limit: usize,
    gathered: &mut Gathered,
) -> PartitionData {
    let data = PartitionData::default()
        .with_partition_index(wanted.partition)
        .with_high_watermark(-1)
        .with_aborted_transactions(None)
        .with_records(Some(Bytes::new()));
    let left = limit.saturating_sub(gathered.bytes);
    let own = usize::try_from(wanted.partition_max_bytes).unwrap_or(0).min(left);
    let unknown = match topic {
        None if caller.version >= 13 => ResponseError::UnknownTopicId,
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
        check_epoch(wanted.current_leader_epoch)?;
        if wanted.fetch_offset < log.start() || wanted.fetch_offset > log.end() {
            return Err(ResponseError::OffsetOutOfRange);
        }
        let records = log
            .read(wanted.fetch_offset, own, gathered.bytes == 0)
            .map_err(|problem| {
                error!(%problem, "fetch failed");
                ResponseError::KafkaStorageError
            })?;
        Ok(data.with_records(Some(records)))
    });
    match read {
        Ok(data) => {
            gathered.bytes += data.records.as_ref().map_or(0, Bytes::len);
            data
        }
        Err(error) => {
            gathered.failed = true;
            // As Apache Kafka has it: null where the partition is known, empty where it is not.
            let aborted = (error == unknown).then(Vec::new);
            data.with_aborted_transactions(aborted).with_error_code(error.code())
        }
    }
}

/// The leader epoch is 0 and stays so; -1 stands for a client that does not know it.
pub fn check_epoch(epoch: i32) -> Result<(), ResponseError> {
    match epoch {
        -1 | 0 => Ok(()),
        e if e > 0 => Err(ResponseError::UnknownLeaderEpoch),
        _ => Err(ResponseError::FencedLeaderEpoch),
    }
}
