//! The topics: names, partitions, and creation of missing ones.

use std::time::Instant;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;

use super::BusError;
use super::client::{CONNECT_DEADLINE, Context, RETRY_INTERVAL, Settings, bad_options, blocking};
use crate::jung::service::Service;

/// Retention of results; much longer than any timeout.
const RESULT_RETENTION_MS: &str = "3600000";

/// Name of the task topic of a service; `None` for the API gateway, which receives no tasks.
#[must_use]
pub fn tasks(prefix: &str, service: Service) -> Option<String> {
    service.topic_stem().map(|stem| format!("{prefix}{stem}_tasks"))
}

/// Name of the result topic of a service.
#[must_use]
pub fn results(prefix: &str, service: Service) -> Option<String> {
    service.topic_stem().map(|stem| format!("{prefix}{stem}_results"))
}

/// The actual partition counts of the topics, which may have been created by someone else.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    tasks: [i32; Service::ALL.len()],
    results: [i32; Service::ALL.len()],
}

impl Layout {
    /// Number of partitions of a service's task topic.
    #[must_use]
    pub fn task_partitions(&self, service: Service) -> i32 {
        self.tasks[service.index()]
    }

    /// The partition of each result topic that an instance reads. Instances share partitions if there are too few, which
    /// only adds overhead.
    #[must_use]
    pub fn result_partition(&self, service: Service, instance: u16) -> i32 {
        let count = service
            .dependencies()
            .iter()
            .map(|dependency| self.results[dependency.index()])
            .min()
            .unwrap_or(1)
            .max(1);
        let (services, count) = (Service::ALL.len(), usize::try_from(count).unwrap_or(1));
        i32::try_from((service.index() + services * usize::from(instance)) % count).unwrap_or(0)
    }
}

/// Creates the missing topics and returns the partition counts of all.
///
/// # Errors
/// [`BusError::Unreachable`] after 30 s; [`BusError::Topic`] where the broker refuses.
pub async fn ensure(settings: &Settings) -> Result<Layout, BusError> {
    let deadline = Instant::now() + CONNECT_DEADLINE;
    loop {
        let (layout, missing) = find_topics(settings.clone()).await?;
        let Some((topic, _)) = missing.first() else {
            return Ok(layout);
        };
        if Instant::now() > deadline {
            return Err(BusError::Topic {
                topic: topic.clone(),
                reason: "created, but still missing from the broker's metadata".into(),
            });
        }
        create(settings, &missing).await?;
        // Electing its leader takes a moment.
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

type Missing = Vec<(String, bool)>;

/// The existing topics, and the names of the missing ones with whether they are result topics.
async fn find_topics(settings: Settings) -> Result<(Layout, Missing), BusError> {
    blocking(move || {
        let context = Context::default();
        let client: BaseConsumer<Context> = settings
            .client(&[])
            .create_with_context(context.clone())
            .map_err(|error| bad_options(&error))?;
        let metadata = client.fetch_metadata(None, CONNECT_DEADLINE).map_err(|error| {
            // The error message is an event of the client, which must be polled.
            client.poll(std::time::Duration::ZERO);
            BusError::Unreachable {
                brokers: settings.brokers.clone(),
                reason: context.reason(&error),
            }
        })?;
        let partitions = |name: &str| {
            let topic = metadata.topics().iter().find(|topic| topic.name() == name)?;
            i32::try_from(topic.partitions().len()).ok().filter(|count| *count > 0)
        };
        let (mut layout, mut missing) = (Layout::default(), Missing::new());
        for service in Service::ALL {
            let (Some(tasks), Some(results)) = (tasks(&settings.prefix, service), results(&settings.prefix, service))
            else {
                continue;
            };
            match partitions(&tasks) {
                Some(count) => layout.tasks[service.index()] = count,
                None => missing.push((tasks, false)),
            }
            match partitions(&results) {
                Some(count) => layout.results[service.index()] = count,
                None => missing.push((results, true)),
            }
        }
        Ok((layout, missing))
    })
    .await
}

async fn create(settings: &Settings, missing: &Missing) -> Result<(), BusError> {
    let admin: AdminClient<DefaultClientContext> =
        settings.client(&[]).create().map_err(|error| bad_options(&error))?;
    // Task topics are replayed to recover state, so they keep the broker's default retention.
    let new: Vec<_> = missing
        .iter()
        .map(|(name, is_result)| {
            if *is_result {
                NewTopic::new(name, settings.result_partitions, TopicReplication::Fixed(1))
                    .set("retention.ms", RESULT_RETENTION_MS)
            } else {
                NewTopic::new(name, settings.partitions, TopicReplication::Fixed(1))
            }
        })
        .collect();
    let options = AdminOptions::new()
        .operation_timeout(Some(CONNECT_DEADLINE))
        .request_timeout(Some(CONNECT_DEADLINE));
    let refused = |topic: &str, reason: String| BusError::Topic {
        topic: topic.to_owned(),
        reason,
    };
    let results = admin
        .create_topics(&new, &options)
        .await
        .map_err(|error| refused("(all)", error.to_string()))?;
    for result in results {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {} // created by another service
            Err((topic, code)) => return Err(refused(&topic, code.to_string())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_names_match_the_thesis() {
        assert_eq!(tasks("", Service::UserRegistry).unwrap(), "user_tasks");
        assert_eq!(results("t1-", Service::DeviceMonitor).unwrap(), "t1-reading_results");
        assert_eq!(tasks("", Service::ApiGateway), None);
    }

    #[test]
    fn result_partitions_exist_and_are_distinct() {
        for partitions in [1, 3, 8, 16] {
            let layout = Layout {
                tasks: [4; 8],
                results: [partitions; 8],
            };
            for service in Service::ALL {
                for instance in [0, 1, 2, u16::MAX] {
                    assert!((0..partitions).contains(&layout.result_partition(service, instance)));
                }
            }
        }
        let layout = Layout {
            tasks: [4; 8],
            results: [16; 8],
        };
        let mut all: Vec<_> = Service::ALL
            .iter()
            .flat_map(|it| [layout.result_partition(*it, 0), layout.result_partition(*it, 1)])
            .collect();
        all.sort_unstable();
        all.dedup();
        // The three services without dependencies read no results and count as partition 0.
        assert_eq!(all.len(), 1 + 2 * 5 - 1);
    }
}
