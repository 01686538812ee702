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

use super::Caller;
use super::fetch::check_epoch;
use crate::log::Log;
use crate::topics::Topic;

/// Stands for the log's end.
const LATEST: i64 = -1;
/// Stands for the log's start.
const EARLIEST: i64 = -2;
/// Stands for the record with the newest timestamp (version 7).
const NEWEST: i64 = -3;
/// Stands for the start of what is kept locally, which is all (version 8).
const EARLIEST_LOCAL: i64 = -4;
/// Stands for the end of what is kept elsewhere, which is nothing (version 9).
const LATEST_TIERED: i64 = -5;

/// Offsets by time.
pub fn list_offsets(caller: Caller<'_>, request: ListOffsetsRequest) -> ResponseKind {
    let topics = request.topics.into_iter().map(|wanted| {
        let topic = caller.node.topics.get(&wanted.name);
        let partitions = wanted
            .partitions
            .iter()
            .map(|partition| one(topic.as_deref(), partition, caller.version));
        ListOffsetsTopicResponse::default()
            .with_partitions(partitions.collect())
            .with_name(wanted.name)
    });
    ResponseKind::ListOffsets(ListOffsetsResponse::default().with_topics(topics.collect()))
}

fn one(topic: Option<&Topic>, wanted: &ListOffsetsPartition, version: i16) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default().with_partition_index(wanted.partition_index);
    let partition = topic.and_then(|topic| topic.partition(wanted.partition_index));
    let found = partition
        .ok_or(ResponseError::UnknownTopicOrPartition)
        .and_then(|partition| {
            check_epoch(if version >= 4 { wanted.current_leader_epoch } else { -1 })?;
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

/// Offset and timestamp; -1 for both when no record fits.
fn look_up(log: &Log, timestamp: i64) -> Result<(i64, i64), ResponseError> {
    let found = match timestamp {
        LATEST => Ok(Some((log.end(), -1))),
        EARLIEST | EARLIEST_LOCAL => Ok(Some((log.start(), -1))),
        NEWEST => log.find_newest(),
        LATEST_TIERED => Ok(None),
        time => log.find_time(time),
    };
    found.map(|found| found.unwrap_or((-1, -1))).map_err(|problem| {
        error!(%problem, "offset not found");
        ResponseError::KafkaStorageError
    })
}

/// Where a leader epoch ends: there is only epoch 0, which ends at the log's end.
pub fn epoch_ends(caller: Caller<'_>, request: OffsetForLeaderEpochRequest) -> ResponseKind {
    let topics = request.topics.into_iter().map(|wanted| {
        let topic = caller.node.topics.get(&wanted.topic);
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
    match (check_epoch(wanted.current_leader_epoch), wanted.leader_epoch) {
        (Err(error), _) => response.with_error_code(error.code()),
        (Ok(()), 0) => response.with_leader_epoch(0).with_end_offset(partition.log().end()),
        (Ok(()), _) => response,
    }
}
