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

use super::Caller;
use crate::group::{Committer, JoinAnswer, JoinMember, JoinRequest, SyncAnswer, SyncRequest};

/// 0, or the error's code.
pub fn code(result: Result<(), ResponseError>) -> i16 {
    result.map_or_else(|error| error.code(), |()| 0)
}

fn text(string: String) -> StrBytes {
    StrBytes::from_string(string)
}

fn owned(string: Option<StrBytes>) -> Option<String> {
    string.map(|string| string.to_string())
}

/// Joins a group; waits until the group has gathered.
pub async fn join(caller: Caller<'_>, request: JoinGroupRequest) -> ResponseKind {
    let member = request.member_id.to_string();
    let answer = match caller
        .node
        .groups
        .join(&request.group_id.to_string(), join_request(caller, request))
    {
        // A dropped answer: the same member has joined again on another connection.
        Ok(answer) => answer
            .await
            .unwrap_or_else(|_| JoinAnswer::error(ResponseError::UnknownMemberId, &member)),
        Err(error) => JoinAnswer::error(error, &member),
    };
    ResponseKind::JoinGroup(join_response(caller, answer))
}

fn join_request(caller: Caller<'_>, request: JoinGroupRequest) -> JoinRequest {
    let session = Duration::from_millis(u64::try_from(request.session_timeout_ms).unwrap_or(0));
    // Version 0 has no time-out for the rebalance: the session's holds for both.
    let rebalance = u64::try_from(request.rebalance_timeout_ms).map_or(session, Duration::from_millis);
    let protocols = request
        .protocols
        .into_iter()
        .map(|protocol| (protocol.name.to_string(), protocol.metadata));
    JoinRequest {
        member: request.member_id.to_string(),
        instance: owned(request.group_instance_id),
        client: caller.client.to_owned(),
        host: format!("/{}", caller.peer.ip()),
        session,
        rebalance,
        protocol_type: request.protocol_type.to_string(),
        protocols: protocols.collect(),
        id_required: caller.version >= 4,
    }
}

fn join_response(caller: Caller<'_>, answer: JoinAnswer) -> JoinGroupResponse {
    let member = |member: JoinMember| {
        JoinGroupResponseMember::default()
            .with_member_id(text(member.member))
            .with_group_instance_id(member.instance.map(text))
            .with_metadata(member.metadata)
    };
    // The protocol may be null only from version 7 on.
    let protocol = answer.protocol.or((caller.version < 7).then(String::new));
    JoinGroupResponse::default()
        .with_error_code(answer.error.map_or(0, |error| error.code()))
        .with_generation_id(answer.generation)
        .with_protocol_type(answer.protocol_type.map(text))
        .with_protocol_name(protocol.map(text))
        .with_leader(text(answer.leader))
        .with_member_id(text(answer.member))
        .with_members(answer.members.into_iter().map(member).collect())
}

/// Gets a member its share; waits until the leader has handed in the shares.
pub async fn sync(caller: Caller<'_>, request: SyncGroupRequest) -> ResponseKind {
    // From version 5 on the request has to say both.
    let silent = request.protocol_type.is_none() || request.protocol_name.is_none();
    if caller.version >= 5 && silent {
        return sync_response(SyncAnswer::error(ResponseError::InconsistentGroupProtocol));
    }
    let shares = request
        .assignments
        .into_iter()
        .map(|share| (share.member_id.to_string(), share.assignment));
    let wanted = SyncRequest {
        member: request.member_id.to_string(),
        instance: owned(request.group_instance_id),
        generation: request.generation_id,
        protocol_type: owned(request.protocol_type),
        protocol: owned(request.protocol_name),
        assignments: shares.collect(),
    };
    sync_response(match caller.node.groups.sync(&request.group_id, wanted) {
        Ok(answer) => answer
            .await
            .unwrap_or_else(|_| SyncAnswer::error(ResponseError::RebalanceInProgress)),
        Err(error) => SyncAnswer::error(error),
    })
}

fn sync_response(answer: SyncAnswer) -> ResponseKind {
    ResponseKind::SyncGroup(
        SyncGroupResponse::default()
            .with_error_code(answer.error.map_or(0, |error| error.code()))
            .with_protocol_type(answer.protocol_type.map(text))
            .with_protocol_name(answer.protocol.map(text))
            .with_assignment(answer.assignment),
    )
}

/// A member is alive.
pub fn heartbeat(caller: Caller<'_>, request: HeartbeatRequest) -> ResponseKind {
    let from = Committer {
        member: request.member_id.to_string(),
        instance: owned(request.group_instance_id),
        generation: request.generation_id,
    };
    let result = caller.node.groups.heartbeat(&request.group_id, &from);
    ResponseKind::Heartbeat(HeartbeatResponse::default().with_error_code(code(result)))
}

/// Members go; versions before 3 name one, later ones several.
pub fn leave(caller: Caller<'_>, request: LeaveGroupRequest) -> ResponseKind {
    let groups = &caller.node.groups;
    let group = request.group_id.to_string();
    if caller.version < 3 {
        let result = groups.leave(&group, &request.member_id, None);
        return ResponseKind::LeaveGroup(LeaveGroupResponse::default().with_error_code(code(result)));
    }
    let one = |member: MemberIdentity| {
        let result = groups.leave(&group, &member.member_id, member.group_instance_id.as_deref());
        MemberResponse::default()
            .with_member_id(member.member_id)
            .with_group_instance_id(member.group_instance_id)
            .with_error_code(code(result))
    };
    let members = request.members.into_iter().map(one).collect();
    ResponseKind::LeaveGroup(LeaveGroupResponse::default().with_members(members))
}
