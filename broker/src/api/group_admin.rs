//! ListGroups, DescribeGroups, DeleteGroups.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    ListGroupsRequest, ListGroupsResponse, ResponseKind,
};
use kafka_protocol::protocol::StrBytes;

use super::context::{RequestContext, error_code};
use crate::group::{Group, Member};

fn text(string: &str) -> StrBytes {
    StrBytes::from_string(string.to_owned())
}

/// Lists groups, filtered by state and type. Every group has the type "classic".
pub fn list(context: RequestContext<'_>, request: ListGroupsRequest) -> ResponseKind {
    let one = |name: &str, group: &Group| {
        ListedGroup::default()
            .with_group_id(GroupId(text(name)))
            .with_protocol_type(text(group.protocol_type()))
            .with_group_state(text(group.state().name()))
            .with_group_type(text("classic"))
    };
    let matches = |filter: &[StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let mut groups = context.node.groups.list(one);
    groups.retain(|group| matches(&request.states_filter, &group.group_state));
    groups.retain(|group| matches(&request.types_filter, &group.group_type));
    ResponseKind::ListGroups(ListGroupsResponse::default().with_groups(groups))
}

/// Describes groups and their members.
pub fn describe(context: RequestContext<'_>, request: DescribeGroupsRequest) -> ResponseKind {
    let groups = request.groups.into_iter().map(|name| {
        let found = context.node.groups.with_group(&name, described);
        found.unwrap_or_else(|| missing(context, &name)).with_group_id(name)
    });
    ResponseKind::DescribeGroups(DescribeGroupsResponse::default().with_groups(groups.collect()))
}

/// Before version 6, a group that does not exist is described as dead.
fn missing(context: RequestContext<'_>, name: &str) -> DescribedGroup {
    let dead = DescribedGroup::default().with_group_state(StrBytes::from_static_str("Dead"));
    if context.version < 6 {
        return dead;
    }
    let message = StrBytes::from_string(format!("Group {name} not found."));
    dead.with_error_code(ResponseError::GroupIdNotFound.code())
        .with_error_message(Some(message))
}

fn described(group: &Group) -> DescribedGroup {
    let stable = group.state() == crate::group::State::Stable;
    let protocol = if stable { group.protocol() } else { "" };
    let member = |(id, member): (&String, &Member)| {
        DescribedGroupMember::default()
            .with_member_id(text(id))
            .with_group_instance_id(member.instance_id.as_deref().map(text))
            .with_client_id(text(&member.client_id))
            .with_client_host(text(&member.client_host))
            .with_member_metadata(member.metadata(protocol))
            .with_member_assignment(member.assignment.clone())
    };
    DescribedGroup::default()
        .with_group_state(text(group.state().name()))
        .with_protocol_type(text(group.protocol_type()))
        .with_protocol_data(text(protocol))
        .with_members(group.members().iter().map(member).collect())
}

/// Deletes groups without members.
pub fn delete(context: RequestContext<'_>, request: DeleteGroupsRequest) -> ResponseKind {
    let results = request.groups_names.into_iter().map(|name| {
        let error = error_code(context.node.groups.delete(&name));
        DeletableGroupResult::default()
            .with_group_id(name)
            .with_error_code(error)
    });
    ResponseKind::DeleteGroups(DeleteGroupsResponse::default().with_results(results.collect()))
}
