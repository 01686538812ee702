//! CreateTopics and DeleteTopics.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse, ResponseKind, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use tracing::error;
use uuid::Uuid;

use super::Caller;
use crate::topics::{CreateError, TopicSettings};

/// An error code with a sentence for people.
pub type Refusal = (ResponseError, String);

/// The error code of a failed creation.
pub fn code(problem: &CreateError) -> ResponseError {
    match problem {
        CreateError::Name(_) => ResponseError::InvalidTopicException,
        CreateError::Exists(_) => ResponseError::TopicAlreadyExists,
        CreateError::Unknown => ResponseError::UnknownTopicOrPartition,
        CreateError::Partitions(_) => ResponseError::InvalidPartitions,
        CreateError::Limit(_) => ResponseError::PolicyViolation,
        CreateError::Storage(problem) => {
            error!(%problem, "topic not written");
            ResponseError::KafkaStorageError
        }
    }
}

/// The same with its sentence.
pub fn refusal(problem: &CreateError) -> Refusal {
    (code(problem), problem.to_string())
}

/// Creates topics, each on its own: one refusal does not touch the others.
pub fn create(caller: Caller<'_>, request: CreateTopicsRequest) -> ResponseKind {
    let mut twice = BTreeMap::new();
    for topic in &request.topics {
        *twice.entry(topic.name.clone()).or_insert(0) += 1;
    }
    twice.retain(|_, count| *count > 1);
    let mut results = Vec::new();
    for name in twice.keys() {
        let text = "topic is named twice in the request".to_owned();
        results.push(created(
            caller,
            name.clone(),
            Err((ResponseError::InvalidRequest, text)),
        ));
    }
    for topic in request
        .topics
        .into_iter()
        .filter(|topic| !twice.contains_key(&topic.name))
    {
        let outcome = create_one(caller, &topic, request.validate_only);
        results.push(created(caller, topic.name, outcome));
    }
    ResponseKind::CreateTopics(CreateTopicsResponse::default().with_topics(results))
}

/// What was created: the id (nil when only checked), the number of partitions, the settings.
type Created = (Uuid, i32, TopicSettings);

fn create_one(caller: Caller<'_>, topic: &CreatableTopic, only_check: bool) -> Result<Created, Refusal> {
    let count = partitions(caller, topic)?;
    let mut settings = TopicSettings::default();
    for config in &topic.configs {
        let invalid = |problem: crate::topics::SettingError| (ResponseError::InvalidConfig, problem.to_string());
        settings.set(&config.name, config.value.as_deref()).map_err(invalid)?;
    }
    let topics = &caller.node.topics;
    if only_check {
        topics.check(&topic.name, count).map_err(|problem| refusal(&problem))?;
        return Ok((Uuid::nil(), count, settings));
    }
    let made = topics
        .create(&topic.name, count, settings.clone())
        .map_err(|problem| refusal(&problem))?;
    Ok((made.id, count, settings))
}

fn partitions(caller: Caller<'_>, topic: &CreatableTopic) -> Result<i32, Refusal> {
    if topic.assignments.is_empty() {
        if !matches!(topic.replication_factor, -1 | 1) {
            let text = format!(
                "replication factor {} on a broker that is alone: use 1",
                topic.replication_factor
            );
            return Err((ResponseError::InvalidReplicationFactor, text));
        }
        let default = caller.node.config.default_partitions;
        return Ok(if topic.num_partitions == -1 {
            default
        } else {
            topic.num_partitions
        });
    }
    let alone = |ids: &[kafka_protocol::messages::BrokerId]| matches!(ids, [id] if id.0 == crate::node::NODE_ID);
    if topic.num_partitions != -1 || topic.replication_factor != -1 {
        let text = "assignments exclude a number of partitions and a replication factor".to_owned();
        return Err((ResponseError::InvalidRequest, text));
    }
    if !topic.assignments.iter().all(|assignment| alone(&assignment.broker_ids)) {
        let text = "every partition can only be assigned to broker 1".to_owned();
        return Err((ResponseError::InvalidReplicaAssignment, text));
    }
    Ok(i32::try_from(topic.assignments.len()).unwrap_or(i32::MAX))
}

fn created(caller: Caller<'_>, name: TopicName, outcome: Result<Created, Refusal>) -> CreatableTopicResult {
    let result = CreatableTopicResult::default().with_name(name);
    match outcome {
        Ok((id, count, settings)) => result
            .with_topic_id(id)
            .with_error_message(None)
            .with_num_partitions(count)
            .with_replication_factor(1)
            .with_configs(Some(configs(caller, &settings))),
        Err((error, text)) => result
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(text))),
    }
}

fn configs(caller: Caller<'_>, settings: &TopicSettings) -> Vec<CreatableTopicConfigs> {
    let all = super::configs::settings(caller.node, settings);
    let describe = |setting: crate::topics::Setting| {
        CreatableTopicConfigs::default()
            .with_name(StrBytes::from_static_str(setting.name))
            .with_config_source(super::configs::source(&setting))
            .with_read_only(setting.fixed)
            .with_value(Some(StrBytes::from_string(setting.value)))
    };
    all.into_iter().map(describe).collect()
}

/// Deletes topics by name or, from version 6 on, by id.
pub fn delete(caller: Caller<'_>, request: DeleteTopicsRequest) -> ResponseKind {
    let by_name = |name| DeleteTopicState::default().with_name(Some(name));
    let named = request.topic_names.into_iter().map(by_name);
    let results = named.chain(request.topics).map(|topic| delete_one(caller, topic));
    ResponseKind::DeleteTopics(DeleteTopicsResponse::default().with_responses(results.collect()))
}

fn delete_one(caller: Caller<'_>, wanted: DeleteTopicState) -> DeletableTopicResult {
    let topics = &caller.node.topics;
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
            caller.node.groups.forget_topic(&topic.name);
            result
        }
        Ok(false) => result.with_error_code(unknown.code()),
        Err(problem) => {
            error!(%problem, "topic not deleted");
            result.with_error_code(ResponseError::KafkaStorageError.code())
        }
    }
}
