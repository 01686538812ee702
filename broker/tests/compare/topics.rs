//! Topics, the cluster, configs.

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::*;

use super::{Pair, text, topic};

pub fn new_topic(name: &str, partitions: i32, factor: i16) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(topic(name))
        .with_num_partitions(partitions)
        .with_replication_factor(factor)
}

pub fn topics(pair: &mut Pair) {
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
            // Before version 4 a request creates topics if auto-creation is enabled, which it is only in Kafka here.
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

pub fn settings(pair: &mut Pair) {
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
