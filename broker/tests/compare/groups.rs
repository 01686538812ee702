//! Groups and offsets.

use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;

use super::{Pair, group, text, topic};

pub fn join(name: &str, member: &str, session: i32) -> RequestKind {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(&[0; 10]));
    RequestKind::JoinGroup(
        JoinGroupRequest::default()
            .with_group_id(group(name))
            .with_session_timeout_ms(session)
            .with_rebalance_timeout_ms(10_000)
            .with_member_id(text(member))
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]),
    )
}

pub fn member_ids(answers: &[Option<ResponseKind>; 2]) -> [String; 2] {
    answers.clone().map(|answer| match answer {
        Some(ResponseKind::JoinGroup(answer)) => answer.member_id.to_string(),
        other => panic!("no join: {other:?}"),
    })
}

pub fn groups(pair: &mut Pair) {
    for (version, key_type) in [(0, 0), (1, 0), (2, 0), (3, 0)] {
        let request = FindCoordinatorRequest::default()
            .with_key(text("g"))
            .with_key_type(key_type);
        pair.ask(
            "coordinator",
            ApiKey::FindCoordinator,
            version,
            RequestKind::FindCoordinator(request),
        );
    }
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g"), text("h")]);
    pair.ask(
        "coordinators",
        ApiKey::FindCoordinator,
        4,
        RequestKind::FindCoordinator(request),
    );
    pair.ask("no group name", ApiKey::JoinGroup, 5, join("", "", 10_000));
    pair.ask("session too short", ApiKey::JoinGroup, 5, join("g", "", 1));
    pair.ask("unknown member", ApiKey::JoinGroup, 5, join("g", "nobody", 10_000));
    let ids = member_ids(&pair.ask("member id required", ApiKey::JoinGroup, 7, join("g", "", 10_000)));
    let both = |make: &dyn Fn(&str) -> RequestKind| [make(&ids[0]), make(&ids[1])];
    pair.ask_each("join", ApiKey::JoinGroup, 7, both(&|id| join("g", id, 10_000)));
    let sync = |id: &str, generation: i32| {
        let share = SyncGroupRequestAssignment::default()
            .with_member_id(text(id))
            .with_assignment(Bytes::from_static(b"share"));
        RequestKind::SyncGroup(
            SyncGroupRequest::default()
                .with_group_id(group("g"))
                .with_generation_id(generation)
                .with_member_id(text(id))
                .with_protocol_type(Some(text("consumer")))
                .with_protocol_name(Some(text("range")))
                .with_assignments(vec![share]),
        )
    };
    let heartbeat = |id: &str, generation: i32| {
        let request = HeartbeatRequest::default()
            .with_group_id(group("g"))
            .with_generation_id(generation);
        RequestKind::Heartbeat(request.with_member_id(text(id)))
    };
    pair.ask_each(
        "heartbeat before sync",
        ApiKey::Heartbeat,
        4,
        both(&|id| heartbeat(id, 1)),
    );
    pair.ask_each(
        "sync of another generation",
        ApiKey::SyncGroup,
        5,
        both(&|id| sync(id, 9)),
    );
    pair.ask_each("sync", ApiKey::SyncGroup, 5, both(&|id| sync(id, 1)));
    pair.ask_each("sync again", ApiKey::SyncGroup, 5, both(&|id| sync(id, 1)));
    pair.ask_each("heartbeat", ApiKey::Heartbeat, 4, both(&|id| heartbeat(id, 1)));
    pair.ask_each(
        "heartbeat of another generation",
        ApiKey::Heartbeat,
        4,
        both(&|id| heartbeat(id, 3)),
    );
    pair.ask(
        "heartbeat of an unknown member",
        ApiKey::Heartbeat,
        4,
        heartbeat("nobody", 1),
    );
    let other = HeartbeatRequest::default()
        .with_group_id(group("nowhere"))
        .with_member_id(text("x"));
    pair.ask(
        "heartbeat in an unknown group",
        ApiKey::Heartbeat,
        4,
        RequestKind::Heartbeat(other),
    );
    for version in [0, 4, 5, 6] {
        let request = DescribeGroupsRequest::default().with_groups(vec![group("g"), group("nowhere")]);
        pair.ask(
            "describe",
            ApiKey::DescribeGroups,
            version,
            RequestKind::DescribeGroups(request),
        );
    }
    for version in [0, 3, 4, 5] {
        pair.ask(
            "list",
            ApiKey::ListGroups,
            version,
            RequestKind::ListGroups(ListGroupsRequest::default()),
        );
    }
    committing(pair, &ids);
    let delete = |name| RequestKind::DeleteGroups(DeleteGroupsRequest::default().with_groups_names(vec![group(name)]));
    pair.ask("delete with members", ApiKey::DeleteGroups, 2, delete("g"));
    let leave = |id: &str| {
        let member = MemberIdentity::default().with_member_id(text(id));
        let request = LeaveGroupRequest::default()
            .with_group_id(group("g"))
            .with_members(vec![member]);
        RequestKind::LeaveGroup(request)
    };
    pair.ask("leave of an unknown member", ApiKey::LeaveGroup, 4, leave("nobody"));
    pair.ask_each("leave", ApiKey::LeaveGroup, 4, both(&leave));
    pair.ask_each("leave again", ApiKey::LeaveGroup, 4, both(&leave));
    pair.ask("delete", ApiKey::DeleteGroups, 2, delete("g"));
    pair.ask("delete again", ApiKey::DeleteGroups, 2, delete("g"));
}

pub fn committing(pair: &mut Pair, ids: &[String; 2]) {
    let commit = |name: &str, id: &str, generation: i32, at: &str, partition: i32, note: &str| {
        let one = OffsetCommitRequestPartition::default()
            .with_partition_index(partition)
            .with_committed_offset(3)
            .with_committed_metadata(Some(text(note)));
        let named = OffsetCommitRequestTopic::default()
            .with_name(topic(at))
            .with_partitions(vec![one]);
        RequestKind::OffsetCommit(
            OffsetCommitRequest::default()
                .with_group_id(group(name))
                .with_member_id(text(id))
                .with_generation_id_or_member_epoch(generation)
                .with_topics(vec![named]),
        )
    };
    for version in [2, 5, 6, 8] {
        let key = ApiKey::OffsetCommit;
        pair.ask(
            "commit without a member",
            key,
            version,
            commit("alone", "", -1, "one", 0, "note"),
        );
        pair.ask(
            "commit without a member into a group with members",
            key,
            version,
            commit("g", "", -1, "one", 0, ""),
        );
        pair.ask_each(
            "commit",
            key,
            version,
            [0, 1].map(|n| commit("g", &ids[n], 1, "one", 0, "")),
        );
        pair.ask_each(
            "commit of another generation",
            key,
            version,
            [0, 1].map(|n| commit("g", &ids[n], 8, "one", 0, "")),
        );
        pair.ask(
            "commit of an unknown member",
            key,
            version,
            commit("g", "nobody", 1, "one", 0, ""),
        );
        pair.ask(
            "commit in an unknown group",
            key,
            version,
            commit("nowhere", "x", 1, "one", 0, ""),
        );
        pair.ask(
            "commit for an unknown topic",
            key,
            version,
            commit("alone", "", -1, "missing", 0, ""),
        );
        pair.ask(
            "commit for an unknown partition",
            key,
            version,
            commit("alone", "", -1, "one", 77, ""),
        );
        pair.ask(
            "metadata too large",
            key,
            version,
            commit("alone", "", -1, "one", 0, &"x".repeat(5000)),
        );
    }
    for name in ["alone", "g", "nowhere"] {
        for version in [1, 2, 5, 7] {
            let one = OffsetFetchRequestTopic::default()
                .with_name(topic("one"))
                .with_partition_indexes(vec![0, 1, 77]);
            let request = OffsetFetchRequest::default()
                .with_group_id(group(name))
                .with_topics(Some(vec![one]));
            pair.ask(
                "committed",
                ApiKey::OffsetFetch,
                version,
                RequestKind::OffsetFetch(request),
            );
        }
        let all = OffsetFetchRequest::default()
            .with_group_id(group(name))
            .with_topics(None);
        pair.ask("all committed", ApiKey::OffsetFetch, 7, RequestKind::OffsetFetch(all));
        let one = OffsetFetchRequestTopics::default()
            .with_name(topic("one"))
            .with_partition_indexes(vec![0, 1]);
        let wanted = OffsetFetchRequestGroup::default()
            .with_group_id(group(name))
            .with_topics(Some(vec![one]));
        let request = OffsetFetchRequest::default().with_groups(vec![wanted]);
        pair.ask(
            "committed, several groups",
            ApiKey::OffsetFetch,
            8,
            RequestKind::OffsetFetch(request),
        );
    }
}
