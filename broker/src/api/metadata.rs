//! Metadata: the topics, and the broker's address.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, ResponseKind, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::RequestContext;
use crate::node::NODE_ID;
use crate::topics::{CreateError, Topic, TopicSettings};

/// Describes all or the requested topics; creates missing ones if the request and the configuration allow it.
pub fn metadata(context: RequestContext<'_>, request: MetadataRequest) -> ResponseKind {
    let create = context.node.config.auto_create && (context.version < 4 || request.allow_auto_topic_creation);
    // Version 0 has no null; there an empty list means all topics.
    let wanted = request
        .topics
        .filter(|topics| context.version > 0 || !topics.is_empty());
    let topics = match wanted {
        None => context.node.topics.all().iter().map(describe).collect(),
        Some(wanted) => wanted.into_iter().map(|topic| find(context, topic, create)).collect(),
    };
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(NODE_ID))
        .with_host(StrBytes::from_string(context.listener.host.clone()))
        .with_port(i32::from(context.listener.port));
    let response = MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(StrBytes::from_string(context.node.cluster_id.clone())))
        .with_controller_id(BrokerId(NODE_ID))
        .with_topics(topics);
    ResponseKind::Metadata(response)
}

fn find(context: RequestContext<'_>, wanted: MetadataRequestTopic, create: bool) -> MetadataResponseTopic {
    // The topic name is nullable since version 12.
    let name = wanted.name.clone().or((context.version < 12).then(TopicName::default));
    let unknown = MetadataResponseTopic::default()
        .with_name(name)
        .with_topic_id(wanted.topic_id);
    let topics = &context.node.topics;
    let Some(name) = wanted.name else {
        let unknown = || unknown.with_error_code(ResponseError::UnknownTopicId.code());
        return topics
            .by_id(wanted.topic_id)
            .map_or_else(unknown, |topic| describe(&topic));
    };
    let found = match topics.get(&name) {
        Some(topic) => Ok(topic),
        None if create => auto_create(context, &name),
        None => crate::topics::check_name(&name)
            .map_err(|_| ResponseError::InvalidTopicException)
            .and(Err(ResponseError::UnknownTopicOrPartition)),
    };
    match found {
        Ok(topic) => describe(&topic),
        Err(error) => unknown.with_error_code(error.code()),
    }
}

fn auto_create(context: RequestContext<'_>, name: &str) -> Result<Arc<Topic>, ResponseError> {
    let count = context.node.config.default_partitions;
    match context.node.topics.create(name, count, TopicSettings::default()) {
        Ok(topic) => Ok(topic),
        // Another connection created it in the meantime.
        Err(CreateError::Exists(name)) => context
            .node
            .topics
            .get(&name)
            .ok_or(ResponseError::UnknownTopicOrPartition),
        Err(error) => Err(super::topic_admin::error_of(&error)),
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
