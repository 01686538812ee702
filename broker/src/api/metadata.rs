//! Metadata: which topics there are, and where to connect to.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, ResponseKind, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::Caller;
use crate::node::NODE_ID;
use crate::topics::{CreateError, Topic, TopicSettings};

/// Describes all topics or those asked for, and creates missing ones if that is wanted and allowed.
pub fn metadata(caller: Caller<'_>, request: MetadataRequest) -> ResponseKind {
    let create = caller.node.config.auto_create && (caller.version < 4 || request.allow_auto_topic_creation);
    // Version 0 has no null: an empty list means all topics there.
    let wanted = request.topics.filter(|topics| caller.version > 0 || !topics.is_empty());
    let topics = match wanted {
        None => caller.node.topics.all().iter().map(describe).collect(),
        Some(wanted) => wanted.into_iter().map(|topic| find(caller, topic, create)).collect(),
    };
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(NODE_ID))
        .with_host(StrBytes::from_string(caller.origin.host.clone()))
        .with_port(i32::from(caller.origin.port));
    let response = MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(StrBytes::from_string(caller.node.cluster_id.clone())))
        .with_controller_id(BrokerId(NODE_ID))
        .with_topics(topics);
    ResponseKind::Metadata(response)
}

fn find(caller: Caller<'_>, wanted: MetadataRequestTopic, create: bool) -> MetadataResponseTopic {
    // A topic without a name can be told only from version 12 on.
    let name = wanted.name.clone().or((caller.version < 12).then(TopicName::default));
    let unknown = MetadataResponseTopic::default()
        .with_name(name)
        .with_topic_id(wanted.topic_id);
    let topics = &caller.node.topics;
    let Some(name) = wanted.name else {
        let unknown = || unknown.with_error_code(ResponseError::UnknownTopicId.code());
        return topics
            .by_id(wanted.topic_id)
            .map_or_else(unknown, |topic| describe(&topic));
    };
    let found = match topics.get(&name) {
        Some(topic) => Ok(topic),
        None if create => auto_create(caller, &name),
        None => crate::topics::check_name(&name)
            .map_err(|_| ResponseError::InvalidTopicException)
            .and(Err(ResponseError::UnknownTopicOrPartition)),
    };
    match found {
        Ok(topic) => describe(&topic),
        Err(error) => unknown.with_error_code(error.code()),
    }
}

fn auto_create(caller: Caller<'_>, name: &str) -> Result<Arc<Topic>, ResponseError> {
    let count = caller.node.config.default_partitions;
    match caller.node.topics.create(name, count, TopicSettings::default()) {
        Ok(topic) => Ok(topic),
        // Another connection was faster.
        Err(CreateError::Exists(name)) => caller
            .node
            .topics
            .get(&name)
            .ok_or(ResponseError::UnknownTopicOrPartition),
        Err(problem) => Err(super::topic_admin::code(&problem)),
    }
}

fn describe(topic: &Arc<Topic>) -> MetadataResponseTopic {
    let partitions = (0i32..).zip(topic.partitions()).map(|(index, _)| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(BrokerId(NODE_ID))
            .with_leader_epoch(0)
            .with_replica_nodes(vec![BrokerId(NODE_ID)])
            .with_isr_nodes(vec![BrokerId(NODE_ID)])
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(topic.name.clone()))))
        .with_topic_id(topic.id)
        .with_partitions(partitions.collect())
}
