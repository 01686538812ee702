//! DeleteRecords.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_records_request::DeleteRecordsPartition;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse, ResponseKind};
use tracing::error;

use super::Caller;
use crate::topics::Topic;

/// Makes records before an offset unreadable; -1 stands for the log's end.
pub fn delete(caller: Caller<'_>, request: DeleteRecordsRequest) -> ResponseKind {
    let topics = request.topics.into_iter().map(|wanted| {
        let topic = caller.node.topics.get(&wanted.name);
        let partitions = wanted
            .partitions
            .iter()
            .map(|partition| one(topic.as_deref(), partition));
        DeleteRecordsTopicResult::default()
            .with_partitions(partitions.collect())
            .with_name(wanted.name)
    });
    ResponseKind::DeleteRecords(DeleteRecordsResponse::default().with_topics(topics.collect()))
}

fn one(topic: Option<&Topic>, wanted: &DeleteRecordsPartition) -> DeleteRecordsPartitionResult {
    let result = DeleteRecordsPartitionResult::default().with_partition_index(wanted.partition_index);
    let partition = topic.and_then(|topic| topic.partition(wanted.partition_index));
    let low = partition
        .ok_or(ResponseError::UnknownTopicOrPartition)
        .and_then(|partition| {
            let mut log = partition.log();
            let offset = if wanted.offset == -1 { log.end() } else { wanted.offset };
            if offset < 0 || offset > log.end() {
                return Err(ResponseError::OffsetOutOfRange);
            }
            log.delete_before(offset).map_err(|problem| {
                error!(%problem, "records not deleted");
                ResponseError::KafkaStorageError
            })?;
            Ok(log.start())
        });
    match low {
        Ok(low) => result.with_low_watermark(low),
        Err(error) => result.with_low_watermark(-1).with_error_code(error.code()),
    }
}
