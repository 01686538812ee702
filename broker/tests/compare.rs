//! The same requests to our broker and to Apache Kafka: answers must agree in error codes and structure.
//!
//! What may differ by intent is erased by [`normal`]: ids, addresses, the cluster, texts for people, settings that
//! our broker does not have. Everything else must be equal.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use bytes::Bytes;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use support::raw::{Raw, batch};
use support::tools::ApacheKafka;

fn text(s: &str) -> StrBytes {
    StrBytes::from_string(s.to_owned())
}

fn topic(s: &str) -> TopicName {
    TopicName(text(s))
}

fn group(s: &str) -> GroupId {
    GroupId(text(s))
}

/// Replaces what may differ by intent.
fn normal(answer: ResponseKind) -> ResponseKind {
    match answer {
        ResponseKind::Metadata(mut m) => {
            m.cluster_id = None;
            m.brokers.iter_mut().for_each(|b| (b.host, b.port) = (text("host"), 1));
            m.topics
                .retain(|t| t.name.as_ref().is_none_or(|name| !name.starts_with("__")));
            m.topics.iter_mut().for_each(|t| t.topic_id = Default::default());
            ResponseKind::Metadata(m)
        }
        ResponseKind::CreateTopics(mut c) => {
            for t in &mut c.topics {
                t.topic_id = Default::default();
                t.error_message = t.error_message.take().map(|_| text("said"));
                t.configs = t.configs.take().map(|_| Vec::new());
            }
            ResponseKind::CreateTopics(c)
        }
        ResponseKind::CreatePartitions(mut c) => {
            c.results.iter_mut().for_each(|r| r.error_message = None);
            ResponseKind::CreatePartitions(c)
        }
        ResponseKind::DeleteTopics(mut d) => {
            for r in &mut d.responses {
                (r.topic_id, r.error_message) = (Default::default(), None);
            }
            ResponseKind::DeleteTopics(d)
        }
        ResponseKind::Produce(mut p) => {
            let partitions = p.responses.iter_mut().flat_map(|t| &mut t.partition_responses);
            // Kafka tells which records are wrong, our broker what is wrong with the batch. Kafka gives the time of
            // a repeated batch, and where the log starts with some errors.
            partitions.for_each(|p| {
                (p.error_message, p.record_errors, p.log_append_time_ms) = (None, Vec::new(), -1);
                if p.error_code != 0 {
                    p.log_start_offset = -1;
                }
            });
            ResponseKind::Produce(p)
        }
        ResponseKind::InitProducerId(mut i) => {
            i.producer_id = ProducerId(i64::from(i.producer_id.0 < 0));
            ResponseKind::InitProducerId(i)
        }
        ResponseKind::JoinGroup(mut j) => {
            j.leader = text(if j.leader == j.member_id { "me" } else { "other" });
            j.members.iter_mut().for_each(|m| m.member_id = text("member"));
            j.member_id = text(if j.member_id.is_empty() { "" } else { "member" });
            ResponseKind::JoinGroup(j)
        }
        ResponseKind::LeaveGroup(mut l) => {
            l.members.iter_mut().for_each(|m| m.member_id = text("member"));
            ResponseKind::LeaveGroup(l)
        }
        ResponseKind::FindCoordinator(mut f) => {
            (f.host, f.error_message) = (text("host"), None);
            f.port = f.port.signum();
            for c in &mut f.coordinators {
                (c.host, c.error_message, c.port) = (text("host"), None, c.port.signum());
            }
            ResponseKind::FindCoordinator(f)
        }
        ResponseKind::DescribeGroups(mut d) => {
            for g in &mut d.groups {
                g.error_message = None;
                g.members.iter_mut().for_each(|m| m.member_id = text("member"));
            }
            ResponseKind::DescribeGroups(d)
        }
        ResponseKind::DescribeCluster(mut d) => {
            (d.cluster_id, d.error_message) = (text("id"), None);
            d.brokers.iter_mut().for_each(|b| (b.host, b.port) = (text("host"), 1));
            ResponseKind::DescribeCluster(d)
        }
        ResponseKind::DescribeConfigs(mut d) => {
            for r in &mut d.results {
                r.error_message = None;
                r.configs.iter_mut().for_each(|c| {
                    (c.documentation, c.config_type, c.config_source) = (None, 0, 0);
                    (c.read_only, c.synonyms) = (false, Vec::new());
                });
            }
            ResponseKind::DescribeConfigs(d)
        }
        ResponseKind::IncrementalAlterConfigs(mut a) => {
            a.responses.iter_mut().for_each(|r| r.error_message = None);
            ResponseKind::IncrementalAlterConfigs(a)
        }
        ResponseKind::ApiVersions(mut a) => {
            a.api_keys.retain(|api| a.error_code != 0 && api.api_key == 18);
            a.api_keys.iter_mut().for_each(|api| api.max_version = 4);
            (a.supported_features, a.finalized_features, a.finalized_features_epoch) = Default::default();
            ResponseKind::ApiVersions(a)
        }
        other => other,
    }
}

/// Both brokers, and the differences found.
struct Pair {
    ours: Raw,
    theirs: Raw,
    differences: Vec<String>,
    compared: usize,
}

impl Pair {
    /// Asks both; returns both answers before normalisation.
    fn ask(&mut self, what: &str, key: ApiKey, version: i16, body: RequestKind) -> [Option<ResponseKind>; 2] {
        self.ask_each(what, key, version, [body.clone(), body])
    }

    /// As `ask`, with a request each: for those that hold ids the brokers gave out.
    fn ask_each(&mut self, what: &str, key: ApiKey, version: i16, body: [RequestKind; 2]) -> [Option<ResponseKind>; 2] {
        let [to_us, to_them] = body;
        // Kafka's coordinator may still be loading just after the start.
        let theirs = loop {
            match self.theirs.ask(key, version, &to_them) {
                Some(answer) if is_loading(&answer) => {}
                answer => break answer,
            }
            std::thread::sleep(std::time::Duration::from_millis(200));
        };
        let ours = self.ours.ask(key, version, &to_us);
        let (a, b) = (ours.clone().map(normal), theirs.clone().map(normal));
        self.compared += 1;
        if a != b {
            let (a, b) = (format!("{a:?}"), format!("{b:?}"));
            let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
            let from = |text: &str| text.chars().skip(same.saturating_sub(60)).take(120).collect::<String>();
            let (a, b) = (from(&a), from(&b));
            self.differences
                .push(format!("{what} ({key:?} v{version})\n  ours   {a}\n  theirs {b}"));
        }
        [ours, theirs]
    }
}

/// COORDINATOR_LOAD_IN_PROGRESS (14), COORDINATOR_NOT_AVAILABLE (15), NOT_COORDINATOR (16).
fn is_loading(answer: &ResponseKind) -> bool {
    match answer {
        ResponseKind::FindCoordinator(f) => {
            [14, 15, 16].contains(&f.error_code) || f.coordinators.iter().any(|c| [14, 15, 16].contains(&c.error_code))
        }
        ResponseKind::JoinGroup(j) => [14, 15, 16].contains(&j.error_code),
        ResponseKind::InitProducerId(i) => [14, 15, 16].contains(&i.error_code),
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Apache Kafka"]
async fn answers_agree_with_apache_kafka() {
    let apache = ApacheKafka::start();
    let running = support::start_with(|config| {
        config.session_timeout_min = std::time::Duration::from_secs(6);
        config.auto_create = false;
    })
    .await;
    let mut pair = Pair {
        ours: Raw::connect(&running.address),
        theirs: Raw::connect(&apache.address),
        differences: Vec::new(),
        compared: 0,
    };
    topics(&mut pair);
    records(&mut pair);
    reading(&mut pair);
    groups(&mut pair);
    settings(&mut pair);
    println!("{} answers compared", pair.compared);
    assert!(pair.compared > 100, "{}", pair.compared);
    assert!(
        pair.differences.is_empty(),
        "{} differ:\n{}",
        pair.differences.len(),
        pair.differences.join("\n")
    );
}

fn new_topic(name: &str, partitions: i32, factor: i16) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(topic(name))
        .with_num_partitions(partitions)
        .with_replication_factor(factor)
}

fn topics(pair: &mut Pair) {
    for version in 0..=4 {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(text(if version < 3 { "" } else { "jung" }))
            .with_client_software_version(text(if version < 3 { "" } else { "1.0" }));
        pair.ask(
            "api versions",
            ApiKey::ApiVersions,
            version,
            RequestKind::ApiVersions(request),
        );
    }
    let mut create = |what: &str, topics: Vec<CreatableTopic>, only_check: bool| {
        let request = CreateTopicsRequest::default()
            .with_topics(topics)
            .with_timeout_ms(5000)
            .with_validate_only(only_check);
        for version in [2, 4, 5, 7] {
            pair.ask(
                what,
                ApiKey::CreateTopics,
                version,
                RequestKind::CreateTopics(request.clone()),
            );
        }
    };
    create("only checked", vec![new_topic("checked", 3, 1)], true);
    create("new, then existing", vec![new_topic("one", 2, 1)], false);
    create(
        "bad names",
        ["", ".", "..", "a b", &"x".repeat(250)]
            .map(|name| new_topic(name, 1, 1))
            .into(),
        false,
    );
    create("no partitions", vec![new_topic("none", 0, 1)], false);
    create("negative partitions", vec![new_topic("none", -2, 1)], false);
    create("too many replicas", vec![new_topic("none", 1, 3)], false);
    create("twice", vec![new_topic("twice", 1, 1), new_topic("twice", 1, 1)], false);
    let config = |name, value| {
        CreatableTopicConfig::default()
            .with_name(text(name))
            .with_value(Some(text(value)))
    };
    create(
        "unknown config",
        vec![new_topic("none", 1, 1).with_configs(vec![config("no.such", "1")])],
        false,
    );
    create(
        "bad config",
        vec![new_topic("none", 1, 1).with_configs(vec![config("retention.ms", "soon")])],
        false,
    );
    create(
        "config",
        vec![new_topic("kept", 1, 1).with_configs(vec![config("retention.ms", "60000")])],
        false,
    );
    let wanted = |name: &str| MetadataRequestTopic::default().with_name(Some(topic(name)));
    for version in 1..=12 {
        for names in [vec!["one"], vec!["missing"], vec!["a b"], vec![]] {
            let topics = names.iter().map(|name| wanted(name)).collect();
            let request = MetadataRequest::default()
                .with_topics(Some(topics))
                .with_allow_auto_topic_creation(version < 4);
            // Before version 4 asking creates where that is allowed; our broker is told not to, Kafka does.
            if version >= 4 || names == ["one"] || names.is_empty() {
                pair.ask(
                    "topics by name",
                    ApiKey::Metadata,
                    version,
                    RequestKind::Metadata(request),
                );
            }
        }
    }
    let unknown_id = MetadataRequestTopic::default()
        .with_name(None)
        .with_topic_id(uuid::Uuid::from_u128(7));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![unknown_id]))
        .with_allow_auto_topic_creation(false);
    pair.ask(
        "topic by unknown id",
        ApiKey::Metadata,
        12,
        RequestKind::Metadata(request),
    );
    for (name, count) in [("one", 4), ("one", 4), ("one", 1), ("missing", 3), ("one", 0)] {
        let wanted = CreatePartitionsTopic::default()
            .with_name(topic(name))
            .with_count(count)
            .with_assignments(None);
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![wanted])
            .with_timeout_ms(5000);
        pair.ask(
            "grow",
            ApiKey::CreatePartitions,
            3,
            RequestKind::CreatePartitions(request),
        );
    }
    for version in [1, 4, 5] {
        let request = DeleteTopicsRequest::default()
            .with_topic_names(vec![topic("missing")])
            .with_timeout_ms(5000);
        pair.ask(
            "delete missing",
            ApiKey::DeleteTopics,
            version,
            RequestKind::DeleteTopics(request),
        );
    }
    let request = DeleteTopicsRequest::default()
        .with_topic_names(vec![topic("kept")])
        .with_timeout_ms(5000);
    pair.ask("delete", ApiKey::DeleteTopics, 5, RequestKind::DeleteTopics(request));
    for version in 0..=2 {
        let request = RequestKind::DescribeCluster(DescribeClusterRequest::default().with_endpoint_type(1));
        pair.ask("cluster", ApiKey::DescribeCluster, version, request);
    }
}

fn produce(name: &str, partition: i32, records: Bytes, acks: i16) -> RequestKind {
    let partition = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(records));
    let data = TopicProduceData::default()
        .with_name(topic(name))
        .with_partition_data(vec![partition]);
    RequestKind::Produce(
        ProduceRequest::default()
            .with_acks(acks)
            .with_timeout_ms(5000)
            .with_topic_data(vec![data]),
    )
}

fn records(pair: &mut Pair) {
    let mut send = |what: &str, request: RequestKind| {
        for version in [3, 8, 9, 12] {
            pair.ask(what, ApiKey::Produce, version, request.clone());
        }
    };
    send("plain", produce("one", 0, batch(3, None, 1000), -1));
    send("acks 1", produce("one", 0, batch(1, None, 2000), 1));
    send("no such topic", produce("missing", 0, batch(1, None, 0), -1));
    send("no such partition", produce("one", 99, batch(1, None, 0), -1));
    send("bad acks", produce("one", 0, batch(1, None, 0), 7));
    let mut damaged = batch(2, None, 0).to_vec();
    damaged[70] ^= 0xff;
    send("damaged", produce("one", 0, damaged.into(), -1));
    let two = [batch(1, None, 0), batch(1, None, 0)].concat();
    send("two batches", produce("one", 0, two.into(), -1));
    send("too large", produce("one", 0, batch(100_000, None, 0), -1));
    let ids = pair.ask(
        "producer id",
        ApiKey::InitProducerId,
        4,
        RequestKind::InitProducerId(
            InitProducerIdRequest::default()
                .with_transactional_id(None)
                .with_transaction_timeout_ms(60000)
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1),
        ),
    );
    let ids = ids.map(|answer| match answer {
        Some(ResponseKind::InitProducerId(answer)) => answer.producer_id.0,
        other => panic!("no producer id: {other:?}"),
    });
    let steps = [
        ("first", 0, 0, 2),
        ("second", 0, 2, 2),
        ("repeated", 0, 0, 2),
        ("repeated again", 0, 2, 2),
        ("gap", 0, 9, 1),
        ("next", 0, 4, 1),
        ("new epoch, not from 0", 1, 5, 1),
        ("new epoch", 1, 0, 1),
        ("old epoch", 0, 5, 1),
    ];
    for (what, epoch, sequence, count) in steps {
        let requests = ids.map(|id| produce("one", 1, batch(count, Some((id, epoch, sequence)), 5000), -1));
        pair.ask_each(what, ApiKey::Produce, 9, requests);
    }
}

fn fetch(name: &str, partition: i32, offset: i64, limit: i32, epoch: i32) -> RequestKind {
    let partition = FetchPartition::default()
        .with_partition(partition)
        .with_current_leader_epoch(epoch)
        .with_fetch_offset(offset)
        .with_log_start_offset(-1)
        .with_partition_max_bytes(limit);
    let data = FetchTopic::default()
        .with_topic(topic(name))
        .with_partitions(vec![partition]);
    RequestKind::Fetch(
        FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(100)
            .with_min_bytes(1)
            .with_max_bytes(1_000_000)
            .with_session_id(0)
            .with_session_epoch(-1)
            .with_topics(vec![data]),
    )
}

fn reading(pair: &mut Pair) {
    let cases = [
        ("from the start", "one", 0, 0, 1_000_000, -1),
        ("from inside a batch", "one", 0, 1, 1_000_000, -1),
        ("one byte", "one", 0, 0, 1, -1),
        ("at the end", "one", 0, 16, 1000, -1),
        ("beyond the end", "one", 0, 17, 1000, -1),
        ("negative", "one", 0, -5, 1000, -1),
        ("no such topic", "missing", 0, 0, 1000, -1),
        ("no such partition", "one", 77, 0, 1000, -1),
    ];
    for (what, name, partition, offset, limit, epoch) in cases {
        for version in [4, 5, 7, 9, 11, 12] {
            let epoch = if version >= 9 { epoch } else { -1 };
            pair.ask(
                what,
                ApiKey::Fetch,
                version,
                fetch(name, partition, offset, limit, epoch),
            );
        }
    }
    pair.ask("epoch of the future", ApiKey::Fetch, 12, fetch("one", 0, 0, 1000, 99));
    for time in [-1, -2, -3, 0, 1001, 1002, 1999, 2000, 99_999] {
        for (name, partition) in [("one", 0), ("one", 3), ("missing", 0)] {
            let version = if time == -3 { 7 } else { 6 };
            let one = ListOffsetsPartition::default()
                .with_partition_index(partition)
                .with_current_leader_epoch(-1)
                .with_timestamp(time);
            let named = ListOffsetsTopic::default()
                .with_name(topic(name))
                .with_partitions(vec![one]);
            let request = ListOffsetsRequest::default()
                .with_replica_id(BrokerId(-1))
                .with_topics(vec![named]);
            pair.ask(
                &format!("offset of {time}"),
                ApiKey::ListOffsets,
                version,
                RequestKind::ListOffsets(request),
            );
        }
    }
    for (partition, epoch) in [(0, 0), (0, 5), (77, 0)] {
        let one = OffsetForLeaderPartition::default()
            .with_partition(partition)
            .with_current_leader_epoch(-1)
            .with_leader_epoch(epoch);
        let named = OffsetForLeaderTopic::default()
            .with_topic(topic("one"))
            .with_partitions(vec![one]);
        let request = OffsetForLeaderEpochRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_topics(vec![named]);
        pair.ask(
            "epoch end",
            ApiKey::OffsetForLeaderEpoch,
            4,
            RequestKind::OffsetForLeaderEpoch(request),
        );
    }
    for (partition, offset) in [(0, 4), (0, 2), (0, 9999), (77, 0), (0, -1)] {
        let one = DeleteRecordsPartition::default()
            .with_partition_index(partition)
            .with_offset(offset);
        let named = DeleteRecordsTopic::default()
            .with_name(topic("one"))
            .with_partitions(vec![one]);
        let request = DeleteRecordsRequest::default()
            .with_topics(vec![named])
            .with_timeout_ms(5000);
        pair.ask(
            "delete records",
            ApiKey::DeleteRecords,
            2,
            RequestKind::DeleteRecords(request),
        );
    }
}

fn join(name: &str, member: &str, session: i32) -> RequestKind {
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

fn member_ids(answers: &[Option<ResponseKind>; 2]) -> [String; 2] {
    answers.clone().map(|answer| match answer {
        Some(ResponseKind::JoinGroup(answer)) => answer.member_id.to_string(),
        other => panic!("no join: {other:?}"),
    })
}

fn groups(pair: &mut Pair) {
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
    let ids = member_ids(&pair.ask("come again", ApiKey::JoinGroup, 7, join("g", "", 10_000)));
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
    pair.ask("heartbeat of nobody", ApiKey::Heartbeat, 4, heartbeat("nobody", 1));
    let other = HeartbeatRequest::default()
        .with_group_id(group("nowhere"))
        .with_member_id(text("x"));
    pair.ask(
        "heartbeat in no group",
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
    pair.ask("leave of nobody", ApiKey::LeaveGroup, 4, leave("nobody"));
    pair.ask_each("leave", ApiKey::LeaveGroup, 4, both(&leave));
    pair.ask_each("leave again", ApiKey::LeaveGroup, 4, both(&leave));
    pair.ask("delete", ApiKey::DeleteGroups, 2, delete("g"));
    pair.ask("delete again", ApiKey::DeleteGroups, 2, delete("g"));
}

fn committing(pair: &mut Pair, ids: &[String; 2]) {
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
        pair.ask("commit alone", key, version, commit("alone", "", -1, "one", 0, "note"));
        pair.ask(
            "commit into a group from outside",
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
        pair.ask("commit of nobody", key, version, commit("g", "nobody", 1, "one", 0, ""));
        pair.ask(
            "commit in no group",
            key,
            version,
            commit("nowhere", "x", 1, "one", 0, ""),
        );
        pair.ask(
            "commit on no topic",
            key,
            version,
            commit("alone", "", -1, "missing", 0, ""),
        );
        pair.ask(
            "commit on no partition",
            key,
            version,
            commit("alone", "", -1, "one", 77, ""),
        );
        pair.ask(
            "long note",
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

fn settings(pair: &mut Pair) {
    use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
    use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
    let describe = |kind: i8, name: &str| {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_configuration_keys(Some(vec![text("retention.ms"), text("cleanup.policy")]));
        RequestKind::DescribeConfigs(DescribeConfigsRequest::default().with_resources(vec![resource]))
    };
    let alter = |name: &str, key: &str, value: Option<&str>| {
        let config = AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(i8::from(value.is_none()))
            .with_value(value.map(text));
        let resource = AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text(name))
            .with_configs(vec![config]);
        RequestKind::IncrementalAlterConfigs(IncrementalAlterConfigsRequest::default().with_resources(vec![resource]))
    };
    let key = ApiKey::IncrementalAlterConfigs;
    pair.ask("alter", key, 1, alter("one", "retention.ms", Some("123456")));
    pair.ask("alter missing", key, 1, alter("missing", "retention.ms", Some("1")));
    pair.ask("alter unknown", key, 1, alter("one", "no.such", Some("1")));
    pair.ask("alter badly", key, 1, alter("one", "retention.ms", Some("soon")));
    for version in [1, 3, 4] {
        pair.ask(
            "describe missing",
            ApiKey::DescribeConfigs,
            version,
            describe(2, "missing"),
        );
    }
    pair.ask("reset", key, 1, alter("one", "retention.ms", None));
}
