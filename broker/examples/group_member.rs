//! A member of a consumer group as a process of its own, for tests that kill one: `group_member BROKER GROUP TOPIC`.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [broker, group, topic] = &arguments[..] else {
        return Err("usage: group_member BROKER GROUP TOPIC".into());
    };
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker).set("group.id", group);
    config
        .set("session.timeout.ms", "2000")
        .set("heartbeat.interval.ms", "200");
    let consumer: BaseConsumer = config.create()?;
    consumer.subscribe(&[topic])?;
    loop {
        consumer.poll(Duration::from_millis(100));
    }
}
