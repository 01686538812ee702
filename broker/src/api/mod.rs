//! What each request does. One file per family; each function takes a request and returns its answer.

mod cluster;
mod configs;
mod fetch;
mod group_admin;
mod groups;
mod list_offsets;
mod metadata;
mod offsets;
mod partitions;
mod produce;
mod records;
mod topic_admin;
mod versions;

use std::net::SocketAddr;

use kafka_protocol::messages::{RequestKind, ResponseKind};

use crate::connection::{Answer, Origin};
use crate::node::Node;
pub use versions::unsupported as versions_unsupported;

/// Who asks, where, and in which version.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// The broker.
    pub node: &'a Node,
    /// The listener that was asked.
    pub origin: &'a Origin,
    /// The client's address.
    pub peer: SocketAddr,
    /// The client's name for itself.
    pub client: &'a str,
    /// The version of the request.
    pub version: i16,
}

/// Answers one request.
pub async fn answer(caller: Caller<'_>, request: RequestKind) -> Answer {
    match request {
        RequestKind::Produce(request) => produce::produce(caller, request).await,
        RequestKind::Fetch(request) => fetch::fetch(caller, request).await,
        RequestKind::JoinGroup(request) => groups::join(caller, request).await.into(),
        RequestKind::SyncGroup(request) => groups::sync(caller, request).await.into(),
        RequestKind::OffsetCommit(request) => offsets::commit(caller, request).await.into(),
        other => at_once(caller, other).into(),
    }
}

/// Requests that wait for nothing.
fn at_once(caller: Caller<'_>, request: RequestKind) -> ResponseKind {
    match request {
        RequestKind::ApiVersions(request) => versions::versions(caller, &request),
        RequestKind::Metadata(request) => metadata::metadata(caller, request),
        RequestKind::ListOffsets(request) => list_offsets::list_offsets(caller, request),
        RequestKind::OffsetForLeaderEpoch(request) => list_offsets::epoch_ends(caller, request),
        RequestKind::CreateTopics(request) => topic_admin::create(caller, request),
        RequestKind::DeleteTopics(request) => topic_admin::delete(caller, request),
        RequestKind::CreatePartitions(request) => partitions::grow(caller, request),
        RequestKind::DeleteRecords(request) => records::delete(caller, request),
        RequestKind::InitProducerId(request) => produce::init_producer_id(caller, &request),
        RequestKind::DescribeConfigs(request) => configs::describe(caller, request),
        RequestKind::IncrementalAlterConfigs(request) => configs::alter(caller, request),
        RequestKind::DescribeCluster(request) => cluster::describe(caller, &request),
        RequestKind::FindCoordinator(request) => cluster::find_coordinator(caller, request),
        RequestKind::Heartbeat(request) => groups::heartbeat(caller, request),
        RequestKind::LeaveGroup(request) => groups::leave(caller, request),
        RequestKind::OffsetFetch(request) => offsets::fetch(caller, request),
        RequestKind::OffsetDelete(request) => offsets::delete(caller, request),
        RequestKind::ListGroups(request) => group_admin::list(caller, request),
        RequestKind::DescribeGroups(request) => group_admin::describe(caller, request),
        RequestKind::DeleteGroups(request) => group_admin::delete(caller, request),
        // `wire::decode` lets only APIs of its table pass; a test holds the table and this match together.
        _ => versions::unsupported(),
    }
}
