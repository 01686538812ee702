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

use super::RequestContext;
use super::context::Refusal;
use crate::node::{NODE_ID, Node};
use crate::topics::{Setting, TopicSettings};

/// Resource type of a topic.
const TOPIC: i8 = 2;
/// Resource type of a broker.
const BROKER: i8 = 4;
/// Config source: set for the topic.
const SOURCE_TOPIC: i8 = 1;
/// Config source: built-in default.
const SOURCE_DEFAULT: i8 = 5;

/// The effective settings of a topic.
pub fn settings(node: &Node, own: &TopicSettings) -> Vec<Setting> {
    own.describe(&node.config.retention, node.config.max_batch, node.config.segment_bytes)
}

/// Kafka's number of a setting's config source.
pub fn source(setting: &Setting) -> i8 {
    if setting.is_set { SOURCE_TOPIC } else { SOURCE_DEFAULT }
}

/// Describes the settings of topics and of the broker.
pub fn describe(context: RequestContext<'_>, request: DescribeConfigsRequest) -> ResponseKind {
    let results = request.resources.into_iter().map(|resource| {
        let outcome = describe_one(context, &resource);
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
    context: RequestContext<'_>,
    resource: &DescribeConfigsResource,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let all = match resource.resource_type {
        TOPIC => settings(context.node, &topic(context, &resource.resource_name)?.settings()),
        BROKER => broker(context, &resource.resource_name)?,
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
            .with_read_only(setting.read_only)
            .with_value(Some(StrBytes::from_string(setting.value)))
    };
    Ok(all.into_iter().filter(wanted).map(line).collect())
}

fn broker(context: RequestContext<'_>, name: &str) -> Result<Vec<Setting>, Refusal> {
    if name.parse() != Ok(NODE_ID) {
        return Err((
            ResponseError::InvalidRequest,
            format!("unknown broker {name:?}: this cluster has only broker {NODE_ID}"),
        ));
    }
    let config = &context.node.config;
    let read_only = |name, value: String| Setting {
        name,
        value,
        is_set: false,
        read_only: true,
    };
    Ok(vec![
        read_only("auto.create.topics.enable", config.auto_create.to_string()),
        read_only("broker.id", NODE_ID.to_string()),
        read_only("message.max.bytes", config.max_batch.to_string()),
        read_only("num.partitions", config.default_partitions.to_string()),
        read_only("socket.request.max.bytes", config.max_frame.to_string()),
    ])
}

fn topic(context: RequestContext<'_>, name: &str) -> Result<std::sync::Arc<crate::topics::Topic>, Refusal> {
    crate::topics::check_name(name).map_err(|text| (ResponseError::InvalidTopicException, text.to_owned()))?;
    let unknown = || {
        (
            ResponseError::UnknownTopicOrPartition,
            format!("topic '{name}' does not exist"),
        )
    };
    context.node.topics.get(name).ok_or_else(unknown)
}

fn unknown_type(number: i8) -> Refusal {
    (
        ResponseError::InvalidRequest,
        format!("unsupported resource type {number}: only topics ({TOPIC}) and the broker ({BROKER}) are supported"),
    )
}

/// Changes the settings of topics.
pub fn alter(context: RequestContext<'_>, request: IncrementalAlterConfigsRequest) -> ResponseKind {
    let validate_only = request.validate_only;
    let responses = request.resources.into_iter().map(|resource| {
        let outcome = alter_one(context, &resource, validate_only);
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

fn alter_one(context: RequestContext<'_>, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), Refusal> {
    if resource.resource_type != TOPIC {
        return Err(unknown_type(resource.resource_type));
    }
    let topic = topic(context, &resource.resource_name)?;
    let mut settings = topic.settings();
    for config in &resource.configs {
        let value = match config.config_operation {
            0 => config.value.as_deref(),
            1 => None,
            _ => {
                return Err((
                    ResponseError::InvalidConfig,
                    format!("config {} is not a list", config.name),
                ));
            }
        };
        settings
            .set(&config.name, value)
            .map_err(|error| (ResponseError::InvalidConfig, error.to_string()))?;
    }
    if validate_only {
        return Ok(());
    }
    topic
        .set(settings)
        .map_err(|error| (ResponseError::KafkaStorageError, error.to_string()))
}
