//! Request handlers, one file per family of APIs. Each handler takes a request and returns its response.

mod cluster;
mod configs;
mod context;
mod fetch;
mod group_admin;
mod groups;
mod list_offsets;
mod metadata;
mod offsets;
mod produce;
mod topic_admin;

use kafka_protocol::messages::{RequestKind, ResponseKind};

pub use cluster::api_versions_unsupported;
pub use context::{RequestContext, Response};

/// Handles one request.
pub async fn handle(context: RequestContext<'_>, request: RequestKind) -> Response {
    match request {
        RequestKind::Produce(request) => produce::produce(context, request).await,
        RequestKind::Fetch(request) => fetch::fetch(context, request).await,
        RequestKind::JoinGroup(request) => groups::join(context, request).await.into(),
        RequestKind::SyncGroup(request) => groups::sync(context, request).await.into(),
        RequestKind::OffsetCommit(request) => offsets::commit(context, request).await.into(),
        other => handle_immediate(context, other).into(),
    }
}

/// Handles the requests that never wait.
fn handle_immediate(context: RequestContext<'_>, request: RequestKind) -> ResponseKind {
    match request {
        RequestKind::ApiVersions(request) => cluster::api_versions(context, &request),
        RequestKind::Metadata(request) => metadata::metadata(context, request),
        RequestKind::ListOffsets(request) => list_offsets::list_offsets(context, request),
        RequestKind::OffsetForLeaderEpoch(request) => list_offsets::offset_for_leader_epoch(context, request),
        RequestKind::CreateTopics(request) => topic_admin::create(context, request),
        RequestKind::DeleteTopics(request) => topic_admin::delete(context, request),
        RequestKind::CreatePartitions(request) => topic_admin::create_partitions(context, request),
        RequestKind::DeleteRecords(request) => topic_admin::delete_records(context, request),
        RequestKind::InitProducerId(request) => produce::init_producer_id(context, &request),
        RequestKind::DescribeConfigs(request) => configs::describe(context, request),
        RequestKind::IncrementalAlterConfigs(request) => configs::alter(context, request),
        RequestKind::DescribeCluster(request) => cluster::describe(context, &request),
        RequestKind::FindCoordinator(request) => cluster::find_coordinator(context, request),
        RequestKind::Heartbeat(request) => groups::heartbeat(context, request),
        RequestKind::LeaveGroup(request) => groups::leave(context, request),
        RequestKind::OffsetFetch(request) => offsets::fetch(context, request),
        RequestKind::OffsetDelete(request) => offsets::delete(context, request),
        RequestKind::ListGroups(request) => group_admin::list(context, request),
        RequestKind::DescribeGroups(request) => group_admin::describe(context, request),
        RequestKind::DeleteGroups(request) => group_admin::delete(context, request),
        // `wire::decode` rejects every API that is not in its table.
        _ => cluster::api_versions_unsupported(),
    }
}
