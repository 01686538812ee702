//! OffsetCommit, OffsetFetch, OffsetDelete.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestTopic, OffsetFetchRequestTopics};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest,
    OffsetFetchResponse, ResponseKind, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::context::{RequestContext, error_code};
use crate::group::{CommittedOffset, Group, MemberContext, TopicPartition};
use crate::node::now_ms;

/// Maximum size of the metadata committed with an offset, in bytes; the same as in Apache Kafka.
const MAX_METADATA: usize = 4096;

/// Commits offsets. A failed partition does not affect the others.
pub async fn commit(context: RequestContext<'_>, request: OffsetCommitRequest) -> ResponseKind {
    let mut offsets = Vec::new();
    let mut topics = Vec::new();
    for topic in &request.topics {
        let partitions = topic.partitions.iter().map(|partition| {
            let checked = check(context, &topic.name, partition);
            let error = error_code(checked.map(|committed| {
                let partition = TopicPartition {
                    topic: topic.name.to_string(),
                    partition: partition.partition_index,
                };
                offsets.push((partition, committed));
            }));
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error)
        });
        let partitions = partitions.collect();
        topics.push(
            OffsetCommitResponseTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions),
        );
    }
    let from = MemberContext {
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.as_ref().map(ToString::to_string),
        generation: request.generation_id_or_member_epoch,
    };
    let error = error_code(write(context, &request.group_id, &from, offsets).await);
    for partition in topics
        .iter_mut()
        .flat_map(|topic| &mut topic.partitions)
        .filter(|p| p.error_code == 0)
    {
        partition.error_code = error;
    }
    ResponseKind::OffsetCommit(OffsetCommitResponse::default().with_topics(topics))
}

async fn write(
    context: RequestContext<'_>,
    group: &str,
    from: &MemberContext,
    offsets: Vec<(TopicPartition, CommittedOffset)>,
) -> Result<(), ResponseError> {
    context.node.groups.commit(group, from, offsets)?;
    let unsynced = if context.node.fsync_always() {
        context.node.groups.take_dirty()
    } else {
        None
    };
    if super::produce::sync_files(unsynced.into_iter().collect()).await {
        Ok(())
    } else {
        Err(ResponseError::CoordinatorNotAvailable)
    }
}

fn check(
    context: RequestContext<'_>,
    topic: &str,
    partition: &OffsetCommitRequestPartition,
) -> Result<CommittedOffset, ResponseError> {
    let metadata = partition
        .committed_metadata
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    if metadata.len() > MAX_METADATA {
        return Err(ResponseError::OffsetMetadataTooLarge);
    }
    let topic = context
        .node
        .topics
        .get(topic)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    topic
        .partition(partition.partition_index)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    let epoch = if context.version >= 6 {
        partition.committed_leader_epoch
    } else {
        -1
    };
    Ok(CommittedOffset {
        offset: partition.committed_offset,
        leader_epoch: epoch,
        metadata,
        committed_at_ms: now_ms(),
    })
}

/// Returns committed offsets: of one group before version 8, of several since.
pub fn fetch(context: RequestContext<'_>, request: OffsetFetchRequest) -> ResponseKind {
    let mut response = OffsetFetchResponse::default();
    if context.version >= 8 {
        let groups = request.groups.into_iter().map(|group| {
            let topics = fetch_group(context, &group.group_id, group.topics);
            OffsetFetchResponseGroup::default()
                .with_topics(topics)
                .with_group_id(group.group_id)
        });
        return ResponseKind::OffsetFetch(response.with_groups(groups.collect()));
    }
    let wanted = request
        .topics
        .map(|topics| topics.into_iter().map(to_new_topic).collect());
    let topics = fetch_group(context, &request.group_id, wanted);
    response.topics = topics.into_iter().map(to_old_topic).collect();
    ResponseKind::OffsetFetch(response)
}

fn to_new_topic(topic: OffsetFetchRequestTopic) -> OffsetFetchRequestTopics {
    OffsetFetchRequestTopics::default()
        .with_name(topic.name)
        .with_partition_indexes(topic.partition_indexes)
}

fn to_old_topic(topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopic {
    let partition = |p: OffsetFetchResponsePartitions| {
        OffsetFetchResponsePartition::default()
            .with_partition_index(p.partition_index)
            .with_committed_offset(p.committed_offset)
            .with_committed_leader_epoch(p.committed_leader_epoch)
            .with_metadata(p.metadata)
    };
    let partitions = topic.partitions.into_iter().map(partition).collect();
    OffsetFetchResponseTopic::default()
        .with_name(topic.name)
        .with_partitions(partitions)
}

/// The requested offsets, -1 where none was committed; all committed offsets for `None`.
fn fetch_group(
    context: RequestContext<'_>,
    group: &str,
    wanted: Option<Vec<OffsetFetchRequestTopics>>,
) -> Vec<OffsetFetchResponseTopics> {
    let wanted = wanted.unwrap_or_else(|| context.node.groups.with_group(group, all_committed).unwrap_or_default());
    let fetch_topic = |topic: OffsetFetchRequestTopics| {
        let partitions = topic.partition_indexes.iter().map(|&index| {
            let at = TopicPartition {
                topic: topic.name.to_string(),
                partition: index,
            };
            let committed = context
                .node
                .groups
                .with_group(group, |group| group.offsets.get(&at).cloned())
                .flatten();
            partition(index, committed)
        });
        let partitions = partitions.collect();
        OffsetFetchResponseTopics::default()
            .with_name(topic.name)
            .with_partitions(partitions)
    };
    wanted.into_iter().map(fetch_topic).collect()
}

fn all_committed(group: &Group) -> Vec<OffsetFetchRequestTopics> {
    let mut topics: Vec<OffsetFetchRequestTopics> = Vec::new();
    for at in group.offsets.keys() {
        match topics.last_mut().filter(|topic| topic.name.as_str() == at.topic) {
            Some(topic) => topic.partition_indexes.push(at.partition),
            None => topics.push(
                OffsetFetchRequestTopics::default()
                    .with_name(TopicName(StrBytes::from_string(at.topic.clone())))
                    .with_partition_indexes(vec![at.partition]),
            ),
        }
    }
    topics
}

fn partition(index: i32, committed: Option<CommittedOffset>) -> OffsetFetchResponsePartitions {
    let none = CommittedOffset {
        offset: -1,
        leader_epoch: -1,
        metadata: String::new(),
        committed_at_ms: 0,
    };
    let committed = committed.unwrap_or(none);
    OffsetFetchResponsePartitions::default()
        .with_partition_index(index)
        .with_committed_offset(committed.offset)
        .with_committed_leader_epoch(committed.leader_epoch)
        .with_metadata(Some(StrBytes::from_string(committed.metadata)))
}

/// Deletes committed offsets of a group.
pub fn delete(context: RequestContext<'_>, request: OffsetDeleteRequest) -> ResponseKind {
    let named = request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|p| TopicPartition {
            topic: topic.name.to_string(),
            partition: p.partition_index,
        })
    });
    let offsets: Vec<_> = named.collect();
    if let Err(error) = context.node.groups.delete_offsets(&request.group_id, &offsets) {
        return ResponseKind::OffsetDelete(OffsetDeleteResponse::default().with_error_code(error.code()));
    }
    let topics = request.topics.into_iter().map(|topic| {
        let known = context.node.topics.get(&topic.name);
        let partitions = topic.partitions.iter().map(|p| {
            let exists = known.as_ref().and_then(|topic| topic.partition(p.partition_index));
            let error = exists.map_or(ResponseError::UnknownTopicOrPartition.code(), |_| 0);
            OffsetDeleteResponsePartition::default()
                .with_partition_index(p.partition_index)
                .with_error_code(error)
        });
        OffsetDeleteResponseTopic::default()
            .with_partitions(partitions.collect())
            .with_name(topic.name)
    });
    ResponseKind::OffsetDelete(OffsetDeleteResponse::default().with_topics(topics.collect()))
}
