//! DescribeConfigs and IncrementalAlterConfigs.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{
    DescribeConfigsRequest, DescribeConfigsResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
    ResponseKind,
};
use kafka_protocol::protocol::StrBytes;

use super::Caller;
use super::topic_admin::Refusal;
use crate::node::{NODE_ID, Node};
use crate::topics::{Setting, TopicSettings};

/// Resource type of a topic.
const TOPIC: i8 = 2;
/// Resource type of a broker.
const BROKER: i8 = 4;
/// Where a value comes from: set for the topic.
const SOURCE_TOPIC: i8 = 1;
/// Where a value comes from: built in.
const SOURCE_DEFAULT: i8 = 5;

/// The settings of a topic as they hold now.
pub fn settings(node: &Node, own: &TopicSettings) -> Vec<Setting> {
    own.describe(&node.config.retention, node.config.max_batch, node.config.segment_bytes)
}

/// Kafka's number for where a value comes from.
pub fn source(setting: &Setting) -> i8 {
    if setting.own { SOURCE_TOPIC } else { SOURCE_DEFAULT }
}

/// Describes topics, and the broker itself by the few names it knows.
pub fn describe(caller: Caller<'_>, request: DescribeConfigsRequest) -> ResponseKind {
    let results = request.resources.into_iter().map(|resource| {
        let outcome = describe_one(caller, &resource);
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name);
        match outcome {
            Ok(configs) => result.with_configs(configs),
            Err((error, text)) => result
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_string(text))),
        }
    });
    ResponseKind::DescribeConfigs(DescribeConfigsResponse::default().with_results(results.collect()))
}

fn describe_one(
    caller: Caller<'_>,
    resource: &DescribeConfigsResource,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let all = match resource.resource_type {
        TOPIC => settings(caller.node, &topic(caller, &resource.resource_name)?.settings()),
        BROKER => broker(caller, &resource.resource_name)?,
        other => return Err(unknown_type(other)),
    };
    let wanted = |setting: &Setting| {
        resource
            .configuration_keys
            .as_ref()
            .is_none_or(|keys| keys.iter().any(|key| key.as_str() == setting.name))
    };
    let line = |setting: Setting| {
        DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_static_str(setting.name))
            .with_config_source(source(&setting))
            .with_read_only(setting.fixed)
            .with_value(Some(StrBytes::from_string(setting.value)))
    };
    Ok(all.into_iter().filter(wanted).map(line).collect())
}

fn broker(caller: Caller<'_>, name: &str) -> Result<Vec<Setting>, Refusal> {
    if name.parse() != Ok(NODE_ID) {
        return Err((ResponseError::InvalidRequest, format!("there is only broker {NODE_ID}")));
    }
    let config = &caller.node.config;
    let fixed = |name, value: String| Setting {
        name,
        value,
        own: false,
        fixed: true,
    };
    Ok(vec![
        fixed("auto.create.topics.enable", config.auto_create.to_string()),
        fixed("broker.id", NODE_ID.to_string()),
        fixed("message.max.bytes", config.max_batch.to_string()),
        fixed("num.partitions", config.default_partitions.to_string()),
        fixed("socket.request.max.bytes", config.max_frame.to_string()),
    ])
}

fn topic(caller: Caller<'_>, name: &str) -> Result<std::sync::Arc<crate::topics::Topic>, Refusal> {
    crate::topics::check_name(name).map_err(|text| (ResponseError::InvalidTopicException, text.to_owned()))?;
    let unknown = || {
        (
            ResponseError::UnknownTopicOrPartition,
            format!("topic '{name}' does not exist"),
        )
    };
    caller.node.topics.get(name).ok_or_else(unknown)
}

fn unknown_type(number: i8) -> Refusal {
    (
        ResponseError::InvalidRequest,
        format!("resource type {number} is not spoken here, only topics and the broker"),
    )
}

/// Changes the retention of topics.
pub fn alter(caller: Caller<'_>, request: IncrementalAlterConfigsRequest) -> ResponseKind {
    let only_check = request.validate_only;
    let responses = request.resources.into_iter().map(|resource| {
        let outcome = alter_one(caller, &resource, only_check);
        let response = AlterConfigsResourceResponse::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name);
        match outcome {
            Ok(()) => response.with_error_message(None),
            Err((error, text)) => response
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_string(text))),
        }
    });
    let response = IncrementalAlterConfigsResponse::default().with_responses(responses.collect());
    ResponseKind::IncrementalAlterConfigs(response)
}

fn alter_one(caller: Caller<'_>, resource: &AlterConfigsResource, only_check: bool) -> Result<(), Refusal> {
    if resource.resource_type != TOPIC {
        return Err(unknown_type(resource.resource_type));
    }
    let topic = topic(caller, &resource.resource_name)?;
    let mut settings = topic.settings();
    for config in &resource.configs {
        let value = match config.config_operation {
            0 => config.value.as_deref(),
            1 => None,
            _ => {
                return Err((ResponseError::InvalidConfig, format!("{} is not a list", config.name)));
            }
        };
        settings
            .set(&config.name, value)
            .map_err(|problem| (ResponseError::InvalidConfig, problem.to_string()))?;
    }
    if only_check {
        return Ok(());
    }
    topic
        .set(settings)
        .map_err(|problem| (ResponseError::KafkaStorageError, problem.to_string()))
}
