//! JoinGroup, SyncGroup, Heartbeat, LeaveGroup.

use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    ResponseKind, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::context::{RequestContext, error_code};
use crate::group::{JoinRequest, JoinResponse, JoinedMember, MemberContext, SyncRequest, SyncResponse};

fn text(string: String) -> StrBytes {
    StrBytes::from_string(string)
}

fn owned(string: Option<StrBytes>) -> Option<String> {
    string.map(|string| string.to_string())
}

/// Joins a group; waits until the join phase of the rebalance is complete.
pub async fn join(context: RequestContext<'_>, request: JoinGroupRequest) -> ResponseKind {
    let member = request.member_id.to_string();
    let response = match context
        .node
        .groups
        .join(&request.group_id.to_string(), join_request(context, request))
    {
        // The sender is dropped when the same member joins again on another connection.
        Ok(response) => response
            .await
            .unwrap_or_else(|_| JoinResponse::error(ResponseError::UnknownMemberId, &member)),
        Err(error) => JoinResponse::error(error, &member),
    };
    ResponseKind::JoinGroup(join_response(context, response))
}

fn join_request(context: RequestContext<'_>, request: JoinGroupRequest) -> JoinRequest {
    let session = Duration::from_millis(u64::try_from(request.session_timeout_ms).unwrap_or(0));
    // Version 0 has no rebalance timeout: the session timeout applies to both.
    let rebalance = u64::try_from(request.rebalance_timeout_ms).map_or(session, Duration::from_millis);
    let protocols = request
        .protocols
        .into_iter()
        .map(|protocol| (protocol.name.to_string(), protocol.metadata));
    JoinRequest {
        member_id: request.member_id.to_string(),
        instance_id: owned(request.group_instance_id),
        client_id: context.client_id.to_owned(),
        client_host: format!("/{}", context.peer.ip()),
        session_timeout: session,
        rebalance_timeout: rebalance,
        protocol_type: request.protocol_type.to_string(),
        protocols: protocols.collect(),
        member_id_required: context.version >= 4,
    }
}

fn join_response(context: RequestContext<'_>, response: JoinResponse) -> JoinGroupResponse {
    let member = |member: JoinedMember| {
        JoinGroupResponseMember::default()
            .with_member_id(text(member.member_id))
            .with_group_instance_id(member.instance_id.map(text))
            .with_metadata(member.metadata)
    };
    // The protocol is nullable since version 7.
    let protocol = response.protocol.or((context.version < 7).then(String::new));
    JoinGroupResponse::default()
        .with_error_code(response.error.map_or(0, |error| error.code()))
        .with_generation_id(response.generation)
        .with_protocol_type(response.protocol_type.map(text))
        .with_protocol_name(protocol.map(text))
        .with_leader(text(response.leader))
        .with_member_id(text(response.member_id))
        .with_members(response.members.into_iter().map(member).collect())
}

/// Returns a member's assignment; waits until the leader has sent the assignments.
pub async fn sync(context: RequestContext<'_>, request: SyncGroupRequest) -> ResponseKind {
    // Version 5 made both mandatory.
    let protocol_missing = request.protocol_type.is_none() || request.protocol_name.is_none();
    if context.version >= 5 && protocol_missing {
        return sync_response(SyncResponse::error(ResponseError::InconsistentGroupProtocol));
    }
    let assignments = request
        .assignments
        .into_iter()
        .map(|one| (one.member_id.to_string(), one.assignment));
    let sync_request = SyncRequest {
        member_id: request.member_id.to_string(),
        instance_id: owned(request.group_instance_id),
        generation: request.generation_id,
        protocol_type: owned(request.protocol_type),
        protocol: owned(request.protocol_name),
        assignments: assignments.collect(),
    };
    sync_response(match context.node.groups.sync(&request.group_id, sync_request) {
        Ok(response) => response
            .await
            .unwrap_or_else(|_| SyncResponse::error(ResponseError::RebalanceInProgress)),
        Err(error) => SyncResponse::error(error),
    })
}

fn sync_response(response: SyncResponse) -> ResponseKind {
    ResponseKind::SyncGroup(
        SyncGroupResponse::default()
            .with_error_code(response.error.map_or(0, |error| error.code()))
            .with_protocol_type(response.protocol_type.map(text))
            .with_protocol_name(response.protocol.map(text))
            .with_assignment(response.assignment),
    )
}

/// Renews a member's session.
pub fn heartbeat(context: RequestContext<'_>, request: HeartbeatRequest) -> ResponseKind {
    let from = MemberContext {
        member_id: request.member_id.to_string(),
        instance_id: owned(request.group_instance_id),
        generation: request.generation_id,
    };
    let result = context.node.groups.heartbeat(&request.group_id, &from);
    ResponseKind::Heartbeat(HeartbeatResponse::default().with_error_code(error_code(result)))
}

/// Removes members from a group: one before version 3, several since.
pub fn leave(context: RequestContext<'_>, request: LeaveGroupRequest) -> ResponseKind {
    let groups = &context.node.groups;
    let group = request.group_id.to_string();
    if context.version < 3 {
        let result = groups.leave(&group, &request.member_id, None);
        return ResponseKind::LeaveGroup(LeaveGroupResponse::default().with_error_code(error_code(result)));
    }
    let one = |member: MemberIdentity| {
        let result = groups.leave(&group, &member.member_id, member.group_instance_id.as_deref());
        MemberResponse::default()
            .with_member_id(member.member_id)
            .with_group_instance_id(member.group_instance_id)
            .with_error_code(error_code(result))
    };
    let members = request.members.into_iter().map(one).collect();
    ResponseKind::LeaveGroup(LeaveGroupResponse::default().with_members(members))
}
