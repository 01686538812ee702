//! Removes intended differences between the brokers' responses.

use kafka_protocol::messages::*;

use super::text;

/// Replaces the fields that may differ.
pub fn normalize(answer: ResponseKind) -> ResponseKind {
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
                t.error_message = t.error_message.take().map(|_| text("message"));
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
            // Kafka reports which records are invalid, this broker what is wrong with the batch. Kafka also returns the
            // append time of a duplicate batch, and the log start offset with some errors.
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
