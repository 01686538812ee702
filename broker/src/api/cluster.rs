//! ApiVersions, DescribeCluster and FindCoordinator. The cluster and every coordinator are this broker, at the
//! advertised address of the client's listener.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, BrokerId, DescribeClusterRequest, DescribeClusterResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, ResponseKind,
};
use kafka_protocol::protocol::StrBytes;

use super::RequestContext;
use crate::node::NODE_ID;
use crate::wire::{APIS, Api};

/// FindCoordinator key type of consumer groups.
const KEY_TYPE_GROUP: i8 = 0;

/// Describes the cluster: one node.
pub fn describe(context: RequestContext<'_>, request: &DescribeClusterRequest) -> ResponseKind {
    let response = DescribeClusterResponse::default().with_endpoint_type(request.endpoint_type);
    if context.version >= 1 && request.endpoint_type != 1 {
        let text = "unsupported endpoint type: this broker supports only type 1 (brokers)";
        return ResponseKind::DescribeCluster(
            response
                .with_error_code(ResponseError::UnsupportedEndpointType.code())
                .with_error_message(Some(StrBytes::from_static_str(text))),
        );
    }
    let broker = DescribeClusterBroker::default()
        .with_broker_id(BrokerId(NODE_ID))
        .with_host(StrBytes::from_string(context.listener.host.clone()))
        .with_port(i32::from(context.listener.port));
    ResponseKind::DescribeCluster(
        response
            .with_cluster_id(StrBytes::from_string(context.node.cluster_id.clone()))
            .with_controller_id(BrokerId(NODE_ID))
            .with_brokers(vec![broker]),
    )
}

/// Finds the coordinator of groups. Transactions and share groups have none.
pub fn find_coordinator(context: RequestContext<'_>, request: FindCoordinatorRequest) -> ResponseKind {
    let key_type = request.key_type;
    if context.version >= 4 {
        let coordinators = request
            .coordinator_keys
            .into_iter()
            .map(|key| coordinator(context, key_type, key));
        let response = FindCoordinatorResponse::default().with_coordinators(coordinators.collect());
        return ResponseKind::FindCoordinator(response);
    }
    let found = coordinator(context, key_type, request.key);
    ResponseKind::FindCoordinator(
        FindCoordinatorResponse::default()
            .with_error_code(found.error_code)
            .with_error_message(found.error_message)
            .with_node_id(found.node_id)
            .with_host(found.host)
            .with_port(found.port),
    )
}

fn coordinator(context: RequestContext<'_>, key_type: i8, key: StrBytes) -> Coordinator {
    let found = Coordinator::default().with_key(key);
    if key_type != KEY_TYPE_GROUP {
        let text = "this broker supports neither transactions nor share groups";
        return found
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(ResponseError::InvalidRequest.code())
            .with_error_message(Some(StrBytes::from_static_str(text)));
    }
    found
        .with_node_id(BrokerId(NODE_ID))
        .with_host(StrBytes::from_string(context.listener.host.clone()))
        .with_port(i32::from(context.listener.port))
        .with_error_message(Some(StrBytes::default()))
}

/// Lists the supported APIs and versions.
pub fn api_versions(context: RequestContext<'_>, request: &ApiVersionsRequest) -> ResponseKind {
    let valid = context.version < 3
        || (is_valid_software_name(&request.client_software_name)
            && is_valid_software_name(&request.client_software_version));
    let mut response = ApiVersionsResponse::default();
    if valid {
        response.api_keys = APIS.iter().map(api_version).collect();
    } else {
        response.error_code = ResponseError::InvalidRequest.code();
    }
    ResponseKind::ApiVersions(response)
}

/// The response to an unsupported version of ApiVersions: version 0 of it, listing the supported versions (KIP-511).
pub fn api_versions_unsupported() -> ResponseKind {
    let own = APIS.iter().filter(|api| api.key == ApiKey::ApiVersions);
    let response = ApiVersionsResponse::default()
        .with_error_code(ResponseError::UnsupportedVersion.code())
        .with_api_keys(own.map(api_version).collect());
    ResponseKind::ApiVersions(response)
}

fn api_version(api: &Api) -> ApiVersion {
    // librdkafka up to 2.5 disables compression for brokers without Produce version 0. Apache Kafka 4 advertises it
    // for the same reason and does not support it either.
    let min = if api.key == ApiKey::Produce { 0 } else { api.min };
    ApiVersion::default()
        .with_api_key(api.key as i16)
        .with_min_version(min)
        .with_max_version(api.max)
}

/// Letters, digits, `-` and `.`, starting and ending with a letter or digit (KIP-511).
fn is_valid_software_name(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    let ends = [name.bytes().next(), name.bytes().next_back()];
    name.bytes().all(inner) && ends.iter().all(|end| end.is_some_and(|b| b.is_ascii_alphanumeric()))
}
