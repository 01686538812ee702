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

use super::Caller;
use super::groups::code;
use crate::group::{Committed, Committer, Group, TopicPartition};
use crate::node::now_ms;

/// Longest note that can be committed with an offset, in bytes, as in Apache Kafka.
const LONGEST_NOTE: usize = 4096;

/// Commits offsets; partitions that cannot be committed do not hinder the others.
pub async fn commit(caller: Caller<'_>, request: OffsetCommitRequest) -> ResponseKind {
    let mut offsets = Vec::new();
    let mut topics = Vec::new();
    for topic in &request.topics {
        let partitions = topic.partitions.iter().map(|partition| {
            let checked = check(caller, &topic.name, partition);
            let error = code(checked.map(|committed| {
                let at = TopicPartition {
                    topic: topic.name.to_string(),
                    partition: partition.partition_index,
                };
                offsets.push((at, committed));
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
    let from = Committer {
        member: request.member_id.to_string(),
        instance: request.group_instance_id.as_ref().map(ToString::to_string),
        generation: request.generation_id_or_member_epoch,
    };
    let error = code(write(caller, &request.group_id, &from, offsets).await);
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
    caller: Caller<'_>,
    group: &str,
    from: &Committer,
    offsets: Vec<(TopicPartition, Committed)>,
) -> Result<(), ResponseError> {
    caller.node.groups.commit(group, from, offsets)?;
    let unforced = if caller.node.fsync_always() {
        caller.node.groups.take_dirty()
    } else {
        None
    };
    if super::produce::force(unforced.into_iter().collect()).await {
        Ok(())
    } else {
        Err(ResponseError::CoordinatorNotAvailable)
    }
}

fn check(
    caller: Caller<'_>,
    topic: &str,
    partition: &OffsetCommitRequestPartition,
) -> Result<Committed, ResponseError> {
    let metadata = partition
        .committed_metadata
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    if metadata.len() > LONGEST_NOTE {
        return Err(ResponseError::OffsetMetadataTooLarge);
    }
    let topic = caller
        .node
        .topics
        .get(topic)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    topic
        .partition(partition.partition_index)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    let epoch = if caller.version >= 6 {
        partition.committed_leader_epoch
    } else {
        -1
    };
    Ok(Committed {
        offset: partition.committed_offset,
        epoch,
        metadata,
        at_ms: now_ms(),
    })
}

/// Answers with committed offsets: of one group before version 8, of several since.
pub fn fetch(caller: Caller<'_>, request: OffsetFetchRequest) -> ResponseKind {
    let mut response = OffsetFetchResponse::default();
    if caller.version >= 8 {
        let groups = request.groups.into_iter().map(|group| {
            let topics = fetch_group(caller, &group.group_id, group.topics);
            OffsetFetchResponseGroup::default()
                .with_topics(topics)
                .with_group_id(group.group_id)
        });
        return ResponseKind::OffsetFetch(response.with_groups(groups.collect()));
    }
    let wanted = request.topics.map(|topics| topics.into_iter().map(newer).collect());
    let topics = fetch_group(caller, &request.group_id, wanted);
    response.topics = topics.into_iter().map(older).collect();
    ResponseKind::OffsetFetch(response)
}

fn newer(topic: OffsetFetchRequestTopic) -> OffsetFetchRequestTopics {
    OffsetFetchRequestTopics::default()
        .with_name(topic.name)
        .with_partition_indexes(topic.partition_indexes)
}

fn older(topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopic {
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

/// The offsets asked for, -1 where none was committed; all that there are for `None`.
fn fetch_group(
    caller: Caller<'_>,
    group: &str,
    wanted: Option<Vec<OffsetFetchRequestTopics>>,
) -> Vec<OffsetFetchResponseTopics> {
    let wanted = wanted.unwrap_or_else(|| caller.node.groups.look(group, all_committed).unwrap_or_default());
    let look = |topic: OffsetFetchRequestTopics| {
        let partitions = topic.partition_indexes.iter().map(|&index| {
            let at = TopicPartition {
                topic: topic.name.to_string(),
                partition: index,
            };
            let committed = caller
                .node
                .groups
                .look(group, |group| group.offsets.get(&at).cloned())
                .flatten();
            partition(index, committed)
        });
        let partitions = partitions.collect();
        OffsetFetchResponseTopics::default()
            .with_name(topic.name)
            .with_partitions(partitions)
    };
    wanted.into_iter().map(look).collect()
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

fn partition(index: i32, committed: Option<Committed>) -> OffsetFetchResponsePartitions {
    let none = Committed {
        offset: -1,
        epoch: -1,
        metadata: String::new(),
        at_ms: 0,
    };
    let committed = committed.unwrap_or(none);
    OffsetFetchResponsePartitions::default()
        .with_partition_index(index)
        .with_committed_offset(committed.offset)
        .with_committed_leader_epoch(committed.epoch)
        .with_metadata(Some(StrBytes::from_string(committed.metadata)))
}

/// Forgets offsets of a group.
pub fn delete(caller: Caller<'_>, request: OffsetDeleteRequest) -> ResponseKind {
    let named = request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|p| TopicPartition {
            topic: topic.name.to_string(),
            partition: p.partition_index,
        })
    });
    let offsets: Vec<_> = named.collect();
    if let Err(error) = caller.node.groups.forget(&request.group_id, &offsets) {
        return ResponseKind::OffsetDelete(OffsetDeleteResponse::default().with_error_code(error.code()));
    }
    let topics = request.topics.into_iter().map(|topic| {
        let known = caller.node.topics.get(&topic.name);
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
