//! Produce and InitProducerId.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse, ProducerId, ResponseKind,
};
use kafka_protocol::protocol::StrBytes;
use tokio::task::spawn_blocking;
use tracing::{error, warn};

use super::context::{RequestContext, Response};
use crate::log::{AppendError, BatchError};
use crate::topics::Topic;

/// Appends one batch per partition; with `FsyncPolicy::Always` responds once all are synced.
pub async fn produce(context: RequestContext<'_>, request: ProduceRequest) -> Response {
    let acks = request.acks;
    let refusal = check_request(&request);
    let mut written = Vec::new();
    let topics = request
        .topic_data
        .into_iter()
        .map(|topic| produce_topic(context, topic, refusal, &mut written));
    let mut response = ProduceResponse::default().with_responses(topics.collect());
    if context.node.fsync_always() && !sync_files(written).await {
        fail_all(&mut response);
    }
    Response {
        body: (acks != 0).then_some(ResponseKind::Produce(response)),
        memory: None,
    }
}

/// The error that applies to the whole request, if any.
fn check_request(request: &ProduceRequest) -> Option<ResponseError> {
    if !matches!(request.acks, -1..=1) {
        return Some(ResponseError::InvalidRequiredAcks);
    }
    request
        .transactional_id
        .as_ref()
        .map(|_| ResponseError::InvalidTxnState)
}

fn produce_topic(
    context: RequestContext<'_>,
    data: TopicProduceData,
    refusal: Option<ResponseError>,
    written: &mut Vec<Arc<File>>,
) -> TopicProduceResponse {
    let topics = &context.node.topics;
    let by_id = context.version >= 13;
    let topic = if by_id {
        topics.by_id(data.topic_id)
    } else {
        topics.get(&data.name)
    };
    let unknown = if by_id {
        ResponseError::UnknownTopicId
    } else {
        ResponseError::UnknownTopicOrPartition
    };
    let partitions = data.partition_data.into_iter().map(|partition| {
        let index = partition.index;
        let result = match (refusal, &topic) {
            (Some(error), _) => Err((error, None)),
            (None, None) => Err((unknown, None)),
            (None, Some(topic)) => append(topic, partition, written),
        };
        partition_response(index, result)
    });
    let partitions = partitions.collect();
    TopicProduceResponse::default()
        .with_name(data.name)
        .with_topic_id(data.topic_id)
        .with_partition_responses(partitions)
}

/// Base offset and log start offset, or an error with its message.
type Outcome = Result<(i64, i64), (ResponseError, Option<String>)>;

fn append(topic: &Topic, data: PartitionProduceData, written: &mut Vec<Arc<File>>) -> Outcome {
    let partition = topic
        .partition(data.index)
        .ok_or((ResponseError::UnknownTopicOrPartition, None))?;
    let records: Bytes = data.records.unwrap_or_default();
    let appended = partition.append(&records).map_err(|error| {
        match &error {
            AppendError::Storage(error) => {
                error!(topic = topic.name, partition = data.index, %error, "failed to append a batch")
            }
            error => warn!(topic = topic.name, partition = data.index, %error, "batch refused"),
        }
        (error_of(&error), Some(error.to_string()))
    })?;
    written.extend(appended.file);
    let start = partition.log().start();
    Ok((appended.base_offset, start))
}

fn partition_response(index: i32, outcome: Outcome) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default().with_index(index);
    match outcome {
        Ok((base, start)) => response.with_base_offset(base).with_log_start_offset(start),
        Err((error, message)) => response
            .with_base_offset(-1)
            .with_error_code(error.code())
            .with_error_message(message.map(StrBytes::from_string)),
    }
}

fn error_of(error: &AppendError) -> ResponseError {
    match error {
        AppendError::Batch(BatchError::Crc | BatchError::Truncated | BatchError::Length(_)) => {
            ResponseError::CorruptMessage
        }
        AppendError::Batch(BatchError::Magic(_)) => ResponseError::UnsupportedForMessageFormat,
        AppendError::Batch(BatchError::Inconsistent) | AppendError::NotOneBatch => ResponseError::InvalidRecord,
        AppendError::TooLarge(_) => ResponseError::MessageTooLarge,
        AppendError::Transactional => ResponseError::InvalidTxnState,
        AppendError::OutOfOrder => ResponseError::OutOfOrderSequenceNumber,
        AppendError::Fenced => ResponseError::InvalidProducerEpoch,
        AppendError::Storage(_) => ResponseError::KafkaStorageError,
    }
}

/// Syncs files to disk; false if one failed.
pub async fn sync_files(files: Vec<Arc<File>>) -> bool {
    if files.is_empty() {
        return true;
    }
    let synced = spawn_blocking(move || files.iter().try_for_each(|file| file.sync_data())).await;
    match synced {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            error!(%error, "failed to sync records to disk");
            false
        }
        Err(_) => false,
    }
}

fn fail_all(response: &mut ProduceResponse) {
    let partitions = response
        .responses
        .iter_mut()
        .flat_map(|topic| &mut topic.partition_responses);
    for partition in partitions.filter(|partition| partition.error_code == 0) {
        partition.error_code = ResponseError::KafkaStorageError.code();
        partition.base_offset = -1;
    }
}

/// Allocates the id of an idempotent producer. Transactional producers are refused.
pub fn init_producer_id(context: RequestContext<'_>, request: &InitProducerIdRequest) -> ResponseKind {
    let response = InitProducerIdResponse::default()
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    if request.transactional_id.is_some() {
        warn!(
            client = context.client_id,
            "transactional producer refused: transactions are not supported"
        );
        return ResponseKind::InitProducerId(response.with_error_code(ResponseError::UnsupportedVersion.code()));
    }
    ResponseKind::InitProducerId(match context.node.new_producer_id() {
        Ok(id) => response.with_producer_id(ProducerId(id)).with_producer_epoch(0),
        Err(error) => {
            error!(%error, "failed to allocate a producer id");
            response.with_error_code(ResponseError::CoordinatorNotAvailable.code())
        }
    })
}
