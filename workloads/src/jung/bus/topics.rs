//! The topics: their names, who listens where, and making those that are missing.

use std::time::Instant;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;

use super::BusError;
use super::client::{CONNECT_DEADLINE, Context, RETRY, Settings, bad_options, blocking};
use crate::jung::service::Service;

/// How long a result is kept: nobody waits that long.
const RESULT_RETENTION_MS: &str = "3600000";

/// The name of the topic with the tasks of a service; `None` for one that is sent none.
#[must_use]
pub fn tasks(prefix: &str, service: Service) -> Option<String> {
    service.stem().map(|stem| format!("{prefix}{stem}_tasks"))
}

/// The name of the topic with the results of a service.
#[must_use]
pub fn results(prefix: &str, service: Service) -> Option<String> {
    service.stem().map(|stem| format!("{prefix}{stem}_results"))
}

/// How many partitions the topics really have, as they may have been made by somebody else.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    tasks: [i32; Service::ALL.len()],
    results: [i32; Service::ALL.len()],
}

impl Layout {
    /// Partitions of the task topic of a service.
    #[must_use]
    pub fn task_partitions(&self, service: Service) -> i32 {
        self.tasks[service.index()]
    }

    /// The partition of each result topic that an instance listens to. Instances numbered from 0 get their own as
    /// long as there are enough; then they share, which only costs them time.
    #[must_use]
    pub fn mine(&self, service: Service, instance: u16) -> i32 {
        let least = service
            .asks()
            .iter()
            .map(|asked| self.results[asked.index()])
            .min()
            .unwrap_or(1)
            .max(1);
        let (services, least) = (Service::ALL.len(), usize::try_from(least).unwrap_or(1));
        i32::try_from((service.index() + services * usize::from(instance)) % least).unwrap_or(0)
    }
}

/// Looks for all topics of the system, makes those that are missing, and says what they are like.
///
/// # Errors
/// [`BusError::Unreachable`] after 30 s; [`BusError::Topic`] where the broker refuses.
pub async fn ensure(settings: &Settings) -> Result<Layout, BusError> {
    let deadline = Instant::now() + CONNECT_DEADLINE;
    loop {
        let (there, missing) = look(settings.clone()).await?;
        let Some((topic, _)) = missing.first() else {
            return Ok(there);
        };
        if Instant::now() > deadline {
            let why = "the broker made it and does not show it".into();
            return Err(BusError::Topic {
                topic: topic.clone(),
                why,
            });
        }
        create(settings, &missing).await?;
        // Its leader has to be found, which takes a moment.
        tokio::time::sleep(RETRY).await;
    }
}

type Missing = Vec<(String, bool)>;

/// The topics that are there, and the names of the others, with whether they are for results.
async fn look(settings: Settings) -> Result<(Layout, Missing), BusError> {
    blocking(move || {
        let context = Context::default();
        let client: BaseConsumer<Context> = settings
            .client(&[])
            .create_with_context(context.clone())
            .map_err(|error| bad_options(&error))?;
        let metadata = client.fetch_metadata(None, CONNECT_DEADLINE).map_err(|error| {
            // The complaint comes as an event of the client, which has to be asked for it.
            client.poll(std::time::Duration::ZERO);
            BusError::Unreachable {
                brokers: settings.brokers.clone(),
                why: context.why(&error),
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
    // The log of tasks is what an instance that takes over learns from: it is kept as long as the broker keeps things.
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
    let refused = |topic: &str, why: String| BusError::Topic {
        topic: topic.to_owned(),
        why,
    };
    let answers = admin
        .create_topics(&new, &options)
        .await
        .map_err(|error| refused("(all)", error.to_string()))?;
    for answer in answers {
        match answer {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {} // another service was quicker
            Err((topic, code)) => return Err(refused(&topic, code.to_string())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_named_as_in_the_thesis() {
        assert_eq!(tasks("", Service::UserRegistry).unwrap(), "user_tasks");
        assert_eq!(results("t1-", Service::DeviceMonitor).unwrap(), "t1-reading_results");
        assert_eq!(tasks("", Service::ApiGateway), None);
    }

    #[test]
    fn every_service_listens_to_a_partition_that_is_there() {
        for partitions in [1, 3, 8, 16] {
            let layout = Layout {
                tasks: [4; 8],
                results: [partitions; 8],
            };
            for service in Service::ALL {
                for instance in [0, 1, 2, u16::MAX] {
                    assert!((0..partitions).contains(&layout.mine(service, instance)));
                }
            }
        }
        let layout = Layout {
            tasks: [4; 8],
            results: [16; 8],
        };
        let mut all: Vec<_> = Service::ALL
            .iter()
            .flat_map(|it| [layout.mine(*it, 0), layout.mine(*it, 1)])
            .collect();
        all.sort_unstable();
        all.dedup();
        // The three that ask nobody listen to nothing and count as partition 0.
        assert_eq!(all.len(), 1 + 2 * 5 - 1);
    }
}
