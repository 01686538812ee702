//! ListOffsets and OffsetForLeaderEpoch.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{
    ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, ResponseKind,
};
use tracing::error;

use super::context::{RequestContext, check_leader_epoch};
use crate::log::PartitionLog;
use crate::topics::Topic;

/// Timestamp that selects the log end offset.
const LATEST: i64 = -1;
/// Timestamp that selects the log start offset.
const EARLIEST: i64 = -2;
/// Timestamp that selects the record with the maximum timestamp (since version 7).
const MAX_TIMESTAMP: i64 = -3;
/// Timestamp that selects the start of the local log, which is the whole log (since version 8).
const EARLIEST_LOCAL: i64 = -4;
/// Timestamp that selects the end of the tiered log, which does not exist (since version 9).
const LATEST_TIERED: i64 = -5;

/// Looks up offsets by timestamp.
pub fn list_offsets(context: RequestContext<'_>, request: ListOffsetsRequest) -> ResponseKind {
    let topics = request.topics.into_iter().map(|wanted| {
        let topic = context.node.topics.get(&wanted.name);
        let partitions = wanted
            .partitions
            .iter()
            .map(|partition| list_partition(topic.as_deref(), partition, context.version));
        ListOffsetsTopicResponse::default()
            .with_partitions(partitions.collect())
            .with_name(wanted.name)
    });
    ResponseKind::ListOffsets(ListOffsetsResponse::default().with_topics(topics.collect()))
}

fn list_partition(topic: Option<&Topic>, wanted: &ListOffsetsPartition, version: i16) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default().with_partition_index(wanted.partition_index);
    let partition = topic.and_then(|topic| topic.partition(wanted.partition_index));
    let found = partition
        .ok_or(ResponseError::UnknownTopicOrPartition)
        .and_then(|partition| {
            check_leader_epoch(if version >= 4 { wanted.current_leader_epoch } else { -1 })?;
            look_up(&partition.log(), wanted.timestamp)
        });
    match found {
        Ok((offset, timestamp)) => response
            .with_offset(offset)
            .with_timestamp(timestamp)
            .with_leader_epoch(if version < 4 || offset < 0 { -1 } else { 0 }),
        Err(error) => response
            .with_error_code(error.code())
            .with_offset(-1)
            .with_timestamp(-1),
    }
}

/// Offset and timestamp; -1 for both when no record matches.
fn look_up(log: &PartitionLog, timestamp: i64) -> Result<(i64, i64), ResponseError> {
    let found = match timestamp {
        LATEST => Ok(Some((log.end(), -1))),
        EARLIEST | EARLIEST_LOCAL => Ok(Some((log.start(), -1))),
        MAX_TIMESTAMP => log.find_max_timestamp(),
        LATEST_TIERED => Ok(None),
        time => log.find_timestamp(time),
    };
    found.map(|found| found.unwrap_or((-1, -1))).map_err(|error| {
        error!(%error, "failed to look up an offset");
        ResponseError::KafkaStorageError
    })
}

/// The end offset of leader epochs. Only epoch 0 exists; it ends at the log end offset.
pub fn offset_for_leader_epoch(context: RequestContext<'_>, request: OffsetForLeaderEpochRequest) -> ResponseKind {
    let topics = request.topics.into_iter().map(|wanted| {
        let topic = context.node.topics.get(&wanted.topic);
        let partitions = wanted
            .partitions
            .iter()
            .map(|partition| epoch_end(topic.as_deref(), partition));
        OffsetForLeaderTopicResult::default()
            .with_partitions(partitions.collect())
            .with_topic(wanted.topic)
    });
    ResponseKind::OffsetForLeaderEpoch(OffsetForLeaderEpochResponse::default().with_topics(topics.collect()))
}

fn epoch_end(topic: Option<&Topic>, wanted: &OffsetForLeaderPartition) -> EpochEndOffset {
    let response = EpochEndOffset::default()
        .with_partition(wanted.partition)
        .with_leader_epoch(-1)
        .with_end_offset(-1);
    let Some(partition) = topic.and_then(|topic| topic.partition(wanted.partition)) else {
        return response.with_error_code(ResponseError::UnknownTopicOrPartition.code());
    };
    match (check_leader_epoch(wanted.current_leader_epoch), wanted.leader_epoch) {
        (Err(error), _) => response.with_error_code(error.code()),
        (Ok(()), 0) => response.with_leader_epoch(0).with_end_offset(partition.log().end()),
        (Ok(()), _) => response,
    }
}
