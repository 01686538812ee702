//! DescribeCluster and FindCoordinator: the answer is always this broker, by the address of the listener asked.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{
    BrokerId, DescribeClusterRequest, DescribeClusterResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    ResponseKind,
};
use kafka_protocol::protocol::StrBytes;

use super::Caller;
use crate::node::NODE_ID;

/// Key type of consumer groups.
const GROUP: i8 = 0;

/// The cluster of one.
pub fn describe(caller: Caller<'_>, request: &DescribeClusterRequest) -> ResponseKind {
    let response = DescribeClusterResponse::default().with_endpoint_type(request.endpoint_type);
    if caller.version >= 1 && request.endpoint_type != 1 {
        let text = "only endpoint type 1 (brokers) is spoken here";
        return ResponseKind::DescribeCluster(
            response
                .with_error_code(ResponseError::UnsupportedEndpointType.code())
                .with_error_message(Some(StrBytes::from_static_str(text))),
        );
    }
    let broker = DescribeClusterBroker::default()
        .with_broker_id(BrokerId(NODE_ID))
        .with_host(StrBytes::from_string(caller.origin.host.clone()))
        .with_port(i32::from(caller.origin.port));
    ResponseKind::DescribeCluster(
        response
            .with_cluster_id(StrBytes::from_string(caller.node.cluster_id.clone()))
            .with_controller_id(BrokerId(NODE_ID))
            .with_brokers(vec![broker]),
    )
}

/// Groups are coordinated here; transactions and share groups nowhere.
pub fn find_coordinator(caller: Caller<'_>, request: FindCoordinatorRequest) -> ResponseKind {
    let key_type = request.key_type;
    if caller.version >= 4 {
        let coordinators = request
            .coordinator_keys
            .into_iter()
            .map(|key| coordinator(caller, key_type, key));
        let response = FindCoordinatorResponse::default().with_coordinators(coordinators.collect());
        return ResponseKind::FindCoordinator(response);
    }
    let found = coordinator(caller, key_type, request.key);
    ResponseKind::FindCoordinator(
        FindCoordinatorResponse::default()
            .with_error_code(found.error_code)
            .with_error_message(found.error_message)
            .with_node_id(found.node_id)
            .with_host(found.host)
            .with_port(found.port),
    )
}

fn coordinator(caller: Caller<'_>, key_type: i8, key: StrBytes) -> Coordinator {
    let found = Coordinator::default().with_key(key);
    if key_type != GROUP {
        let text = "this broker has neither transactions nor share groups";
        return found
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(ResponseError::InvalidRequest.code())
            .with_error_message(Some(StrBytes::from_static_str(text)));
    }
    found
        .with_node_id(BrokerId(NODE_ID))
        .with_host(StrBytes::from_string(caller.origin.host.clone()))
        .with_port(i32::from(caller.origin.port))
        .with_error_message(Some(StrBytes::default()))
}
