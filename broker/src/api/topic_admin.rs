//! CreateTopics, DeleteTopics, CreatePartitions, DeleteRecords.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::delete_records_request::DeleteRecordsPartition;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse, ResponseKind, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use tracing::error;
use uuid::Uuid;

use super::configs;
use super::context::{Refusal, RequestContext};
use crate::node::NODE_ID;
use crate::topics::{CreateError, Setting, SettingError, Topic, TopicSettings};

/// The error code of a failed creation.
pub fn error_of(error: &CreateError) -> ResponseError {
    match error {
        CreateError::Name(_) => ResponseError::InvalidTopicException,
        CreateError::Exists(_) => ResponseError::TopicAlreadyExists,
        CreateError::Unknown => ResponseError::UnknownTopicOrPartition,
        CreateError::Partitions(_) => ResponseError::InvalidPartitions,
        CreateError::Limit(_) => ResponseError::PolicyViolation,
        CreateError::Storage(error) => {
            error!(%error, "failed to write a topic");
            ResponseError::KafkaStorageError
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used by map_err")]
fn refusal(error: CreateError) -> Refusal {
    (error_of(&error), error.to_string())
}

/// Creates topics independently of each other.
pub fn create(context: RequestContext<'_>, request: CreateTopicsRequest) -> ResponseKind {
    let mut duplicates = BTreeMap::new();
    for topic in &request.topics {
        *duplicates.entry(topic.name.clone()).or_insert(0) += 1;
    }
    duplicates.retain(|_, count| *count > 1);
    let mut results = Vec::new();
    for name in duplicates.keys() {
        let text = "duplicate topic in the request".to_owned();
        results.push(creation_result(
            context,
            name.clone(),
            Err((ResponseError::InvalidRequest, text)),
        ));
    }
    for topic in request
        .topics
        .into_iter()
        .filter(|topic| !duplicates.contains_key(&topic.name))
    {
        let outcome = create_one(context, &topic, request.validate_only);
        results.push(creation_result(context, topic.name, outcome));
    }
    ResponseKind::CreateTopics(CreateTopicsResponse::default().with_topics(results))
}

/// A created topic: its id (nil for `validate_only`), number of partitions and settings.
type Created = (Uuid, i32, TopicSettings);

fn create_one(context: RequestContext<'_>, topic: &CreatableTopic, validate_only: bool) -> Result<Created, Refusal> {
    let count = partition_count(context, topic)?;
    let mut settings = TopicSettings::default();
    for config in &topic.configs {
        let invalid = |error: SettingError| (ResponseError::InvalidConfig, error.to_string());
        settings.set(&config.name, config.value.as_deref()).map_err(invalid)?;
    }
    let topics = &context.node.topics;
    if validate_only {
        topics.check_create(&topic.name, count).map_err(refusal)?;
        return Ok((Uuid::nil(), count, settings));
    }
    let created = topics.create(&topic.name, count, settings.clone()).map_err(refusal)?;
    Ok((created.id, count, settings))
}

fn partition_count(context: RequestContext<'_>, topic: &CreatableTopic) -> Result<i32, Refusal> {
    if topic.assignments.is_empty() {
        if !matches!(topic.replication_factor, -1 | 1) {
            let text = format!(
                "replication factor {} is not possible on a single broker: use 1",
                topic.replication_factor
            );
            return Err((ResponseError::InvalidReplicationFactor, text));
        }
        let default = context.node.config.default_partitions;
        return Ok(if topic.num_partitions == -1 {
            default
        } else {
            topic.num_partitions
        });
    }
    if topic.num_partitions != -1 || topic.replication_factor != -1 {
        let text = "assignments cannot be combined with a number of partitions or a replication factor".to_owned();
        return Err((ResponseError::InvalidRequest, text));
    }
    check_assignments(topic.assignments.iter().map(|assignment| &assignment.broker_ids))?;
    Ok(i32::try_from(topic.assignments.len()).unwrap_or(i32::MAX))
}

/// Every assignment must name this broker only.
fn check_assignments<'a>(mut assignments: impl Iterator<Item = &'a Vec<BrokerId>>) -> Result<(), Refusal> {
    if assignments.all(|ids| matches!(&ids[..], [id] if id.0 == NODE_ID)) {
        return Ok(());
    }
    let text = format!("partitions can only be assigned to broker {NODE_ID}");
    Err((ResponseError::InvalidReplicaAssignment, text))
}

fn creation_result(
    context: RequestContext<'_>,
    name: TopicName,
    outcome: Result<Created, Refusal>,
) -> CreatableTopicResult {
    let result = CreatableTopicResult::default().with_name(name);
    match outcome {
        Ok((id, count, settings)) => result
            .with_topic_id(id)
            .with_error_message(None)
            .with_num_partitions(count)
            .with_replication_factor(1)
            .with_configs(Some(topic_configs(context, &settings))),
        Err((error, text)) => result
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(text))),
    }
}

fn topic_configs(context: RequestContext<'_>, settings: &TopicSettings) -> Vec<CreatableTopicConfigs> {
    let all = configs::settings(context.node, settings);
    let describe = |setting: Setting| {
        CreatableTopicConfigs::default()
            .with_name(StrBytes::from_static_str(setting.name))
            .with_config_source(configs::source(&setting))
            .with_read_only(setting.read_only)
            .with_value(Some(StrBytes::from_string(setting.value)))
    };
    all.into_iter().map(describe).collect()
}

/// Deletes topics by name or, since version 6, by id.
pub fn delete(context: RequestContext<'_>, request: DeleteTopicsRequest) -> ResponseKind {
    let by_name = |name| DeleteTopicState::default().with_name(Some(name));
    let named = request.topic_names.into_iter().map(by_name);
    let results = named.chain(request.topics).map(|topic| delete_one(context, topic));
    ResponseKind::DeleteTopics(DeleteTopicsResponse::default().with_responses(results.collect()))
}

fn delete_one(context: RequestContext<'_>, wanted: DeleteTopicState) -> DeletableTopicResult {
    let topics = &context.node.topics;
    let result = DeletableTopicResult::default()
        .with_name(wanted.name.clone())
        .with_topic_id(wanted.topic_id);
    let (topic, unknown) = match &wanted.name {
        Some(name) => (topics.get(name), ResponseError::UnknownTopicOrPartition),
        None => (topics.by_id(wanted.topic_id), ResponseError::UnknownTopicId),
    };
    let Some(topic) = topic else {
        return result.with_error_code(unknown.code());
    };
    let result = result
        .with_name(Some(TopicName(StrBytes::from_string(topic.name.clone()))))
        .with_topic_id(topic.id);
    match topics.delete(&topic.name) {
        Ok(true) => {
            context.node.groups.delete_topic_offsets(&topic.name);
            result
        }
        Ok(false) => result.with_error_code(unknown.code()),
        Err(error) => {
            error!(%error, "failed to delete a topic");
            result.with_error_code(ResponseError::KafkaStorageError.code())
        }
    }
}

/// Adds partitions to topics, independently of each other.
pub fn create_partitions(context: RequestContext<'_>, request: CreatePartitionsRequest) -> ResponseKind {
    let validate_only = request.validate_only;
    let results = request.topics.into_iter().map(|topic| {
        let outcome = add_partitions(context, &topic, validate_only);
        let result = CreatePartitionsTopicResult::default().with_name(topic.name);
        match outcome {
            Ok(()) => result,
            Err((error, text)) => result
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_string(text))),
        }
    });
    ResponseKind::CreatePartitions(CreatePartitionsResponse::default().with_results(results.collect()))
}

fn add_partitions(
    context: RequestContext<'_>,
    wanted: &CreatePartitionsTopic,
    validate_only: bool,
) -> Result<(), Refusal> {
    let topics = &context.node.topics;
    topics
        .check_add_partitions(&wanted.name, wanted.count)
        .map_err(refusal)?;
    let assignments = wanted.assignments.iter().flatten();
    check_assignments(assignments.map(|assignment| &assignment.broker_ids))?;
    if validate_only {
        return Ok(());
    }
    topics.add_partitions(&wanted.name, wanted.count).map_err(refusal)
}

/// Deletes the records before an offset; -1 means the log end offset.
pub fn delete_records(context: RequestContext<'_>, request: DeleteRecordsRequest) -> ResponseKind {
    let topics = request.topics.into_iter().map(|wanted| {
        let topic = context.node.topics.get(&wanted.name);
        let partitions = wanted
            .partitions
            .iter()
            .map(|partition| delete_records_before(topic.as_deref(), partition));
        DeleteRecordsTopicResult::default()
            .with_partitions(partitions.collect())
            .with_name(wanted.name)
    });
    ResponseKind::DeleteRecords(DeleteRecordsResponse::default().with_topics(topics.collect()))
}

fn delete_records_before(topic: Option<&Topic>, wanted: &DeleteRecordsPartition) -> DeleteRecordsPartitionResult {
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
            log.delete_before(offset).map_err(|error| {
                error!(%error, "failed to delete records");
                ResponseError::KafkaStorageError
            })?;
            Ok(log.start())
        });
    match low {
        Ok(low) => result.with_low_watermark(low),
        Err(error) => result.with_low_watermark(-1).with_error_code(error.code()),
    }
}
