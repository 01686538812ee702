//! CreatePartitions.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse, ResponseKind};
use kafka_protocol::protocol::StrBytes;

use super::Caller;
use super::topic_admin::{Refusal, refusal};
use crate::node::NODE_ID;

/// Enlarges topics, each on its own.
pub fn grow(caller: Caller<'_>, request: CreatePartitionsRequest) -> ResponseKind {
    let only_check = request.validate_only;
    let results = request.topics.into_iter().map(|topic| {
        let outcome = grow_one(caller, &topic, only_check);
        let result = CreatePartitionsTopicResult::default().with_name(topic.name);
        match outcome {
            Ok(()) => result,
            Err((error, text)) => result
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_string(text))),
        }
    });
    ResponseKind::CreatePartitions(CreatePartitionsResponse::default().with_results(results.collect()))
}

fn grow_one(caller: Caller<'_>, wanted: &CreatePartitionsTopic, only_check: bool) -> Result<(), Refusal> {
    let topics = &caller.node.topics;
    topics
        .check_growth(&wanted.name, wanted.count)
        .map_err(|problem| refusal(&problem))?;
    let assigned = wanted.assignments.iter().flatten();
    if !assigned
        .clone()
        .all(|assignment| matches!(&assignment.broker_ids[..], [id] if id.0 == NODE_ID))
    {
        let text = "every partition can only be assigned to broker 1".to_owned();
        return Err((ResponseError::InvalidReplicaAssignment, text));
    }
    if only_check {
        return Ok(());
    }
    topics
        .grow(&wanted.name, wanted.count)
        .map_err(|problem| refusal(&problem))
}
