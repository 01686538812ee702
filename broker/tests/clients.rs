//! rdkafka clients: records, groups, administration, restarts.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kafka_protocol::messages::{ApiKey, MetadataRequest, RequestKind, ResponseKind};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, FutureProducer, FutureRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use support::raw::RawClient;
use support::{DEADLINE, client, member, start, start_with};

type Admin = AdminClient<DefaultClientContext>;

async fn create(address: &str, topic: &str, partitions: i32) {
    let admin: Admin = client(address).create().unwrap();
    let wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let created = admin.create_topics(&[wanted], &AdminOptions::new()).await.unwrap();
    created[0].as_ref().unwrap();
}

async fn produce(address: &str, topic: &str, range: std::ops::Range<usize>) {
    let producer: FutureProducer = client(address).create().unwrap();
    for number in range {
        let (key, payload) = (number.to_string(), format!("record {number}"));
        let record = FutureRecord::to(topic).key(&key).payload(&payload);
        producer.send(record, DEADLINE).await.unwrap();
    }
}

/// Polls until `count` records are received; returns their payloads.
fn consume(consumer: &BaseConsumer, count: usize) -> Vec<String> {
    let start = Instant::now();
    let mut received = Vec::new();
    while received.len() < count {
        assert!(
            start.elapsed() < DEADLINE,
            "only {} of {count} records received",
            received.len()
        );
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            // A restarting broker causes temporary errors; the deadline decides.
            let Ok(message) = message else { continue };
            received.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
        }
    }
    received
}

fn assigned(address: &str, topic: &str, partition: i32, from: Offset) -> BaseConsumer {
    let consumer: BaseConsumer = member(address, "assigned").create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, from).unwrap();
    consumer.assign(&list).unwrap();
    consumer
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_consumed_in_order() {
    let running = start().await;
    create(&running.address, "numbers", 1).await;
    produce(&running.address, "numbers", 0..100).await;
    let consumer = assigned(&running.address, "numbers", 0, Offset::Beginning);
    let expected: Vec<_> = (0..100).map(|n| format!("record {n}")).collect();
    assert_eq!(consume(&consumer, 100), expected);
    assert_eq!(consumer.fetch_watermarks("numbers", 0, DEADLINE).unwrap(), (0, 100));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_segments_and_large_records_are_consumed() {
    let running = start_with(|config| config.segment_bytes = 10_000).await;
    produce(&running.address, "auto", 0..500).await;
    let consumer = assigned(&running.address, "auto", 0, Offset::Offset(250));
    assert_eq!(consume(&consumer, 250)[0], "record 250");
    let files = std::fs::read_dir(running.folder.path().join("topics/auto/0"))
        .unwrap()
        .count();
    assert!(files > 3, "only {files} segment files");
    let large = "x".repeat(900_000);
    let producer: FutureProducer = client(&running.address).create().unwrap();
    producer
        .send(FutureRecord::<(), _>::to("auto").payload(&large), DEADLINE)
        .await
        .unwrap();
    assert!(consume(&consumer, 1)[0] == large);
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_found_by_timestamp() {
    let running = start().await;
    create(&running.address, "timed", 1).await;
    let producer: FutureProducer = client(&running.address).create().unwrap();
    for number in 0..10 {
        let record = FutureRecord::<(), _>::to("timed")
            .payload("x")
            .timestamp(1_000_000 + number * 1000);
        producer.send(record, DEADLINE).await.unwrap();
    }
    let consumer: BaseConsumer = member(&running.address, "timed").create().unwrap();
    let found = |time| {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("timed", 0, Offset::Offset(time)).unwrap();
        consumer.offsets_for_times(list, DEADLINE).unwrap().elements()[0].offset()
    };
    assert_eq!(found(1_004_500), Offset::Offset(5));
    assert_eq!(found(0), Offset::Offset(0));
    assert_eq!(found(9_000_000), Offset::End);
}

/// Polls all members until their assignments satisfy `done`; returns the assignments.
fn wait_for_assignment(members: &[&BaseConsumer], done: impl Fn(&[BTreeSet<i32>]) -> bool) -> Vec<BTreeSet<i32>> {
    let start = Instant::now();
    loop {
        for member in members {
            let _ = member.poll(Duration::from_millis(20));
        }
        let assignments: Vec<BTreeSet<i32>> = members
            .iter()
            .map(|m| {
                m.assignment()
                    .unwrap()
                    .elements()
                    .iter()
                    .map(rdkafka::topic_partition_list::TopicPartitionListElem::partition)
                    .collect()
            })
            .collect();
        if done(&assignments) {
            return assignments;
        }
        assert!(start.elapsed() < DEADLINE, "the group did not settle: {assignments:?}");
    }
}

fn join(address: &str, group: &str, topic: &str) -> BaseConsumer {
    let consumer: BaseConsumer = member(address, group).create().unwrap();
    consumer.subscribe(&[topic]).unwrap();
    consumer
}

#[tokio::test(flavor = "multi_thread")]
async fn group_rebalances_when_a_member_leaves() {
    let running = start().await;
    create(&running.address, "shared", 4).await;
    let (first, second) = (
        join(&running.address, "sharers", "shared"),
        join(&running.address, "sharers", "shared"),
    );
    let assignments = wait_for_assignment(&[&first, &second], |all| all.iter().all(|one| one.len() == 2));
    assert!(assignments[0].is_disjoint(&assignments[1]));
    second.unsubscribe();
    drop(second);
    wait_for_assignment(&[&first], |all| all[0].len() == 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn next_member_continues_at_the_committed_offset() {
    let running = start().await;
    create(&running.address, "work", 1).await;
    produce(&running.address, "work", 0..10).await;
    let first = join(&running.address, "workers", "work");
    consume(&first, 4);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("work", 0, Offset::Offset(4)).unwrap();
    first.commit(&list, CommitMode::Sync).unwrap();
    drop(first);
    let second = join(&running.address, "workers", "work");
    assert_eq!(consume(&second, 6)[0], "record 4");
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_and_offsets_survive_a_broker_restart() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker::Broker::start(support::config(folder.path())).await.unwrap();
    let bind = broker.addresses()[0];
    let address = bind.to_string();
    create(&address, "kept", 2).await;
    produce(&address, "kept", 0..20).await;
    let consumer = join(&address, "keepers", "kept");
    consume(&consumer, 20);
    consumer.commit_consumer_state(CommitMode::Sync).unwrap();
    broker.stop().await;

    let mut config = support::config(folder.path());
    config.listeners[0].bind = bind;
    let broker = broker::Broker::start(config).await.unwrap();
    // The same member continues: it receives the new records and none twice.
    produce(&address, "kept", 20..30).await;
    let new: BTreeSet<_> = consume(&consumer, 10).into_iter().collect();
    assert_eq!(new, (20..30).map(|n| format!("record {n}")).collect());
    consumer.commit_consumer_state(CommitMode::Sync).unwrap();
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_administered() {
    let running = start().await;
    let admin: Admin = client(&running.address).create().unwrap();
    let options = AdminOptions::new();
    create(&running.address, "admin", 2).await;
    let duplicate = NewTopic::new("admin", 2, TopicReplication::Fixed(1));
    let refused = admin.create_topics(&[duplicate], &options).await.unwrap();
    assert_eq!(refused[0].as_ref().unwrap_err().1, RDKafkaErrorCode::TopicAlreadyExists);
    admin
        .create_partitions(&[NewPartitions::new("admin", 5)], &options)
        .await
        .unwrap()[0]
        .as_ref()
        .unwrap();
    let consumer: BaseConsumer = member(&running.address, "x").create().unwrap();
    assert_eq!(consumer.fetch_metadata(None, DEADLINE).unwrap().topics().len(), 1);
    let metadata = consumer.fetch_metadata(Some("admin"), DEADLINE).unwrap();
    assert_eq!(metadata.topics()[0].partitions().len(), 5);
    let resource = ResourceSpecifier::Topic("admin");
    let described = admin
        .describe_configs(&[resource], &options)
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    assert_eq!(
        described.get("cleanup.policy").unwrap().value.as_deref(),
        Some("delete")
    );
    let alter = AlterConfig::new(resource).set("retention.ms", "1234");
    // rdkafka 0.39 uses the old AlterConfigs, which is not supported: it must fail and not hang.
    assert!(admin.alter_configs(&[alter], &options).await.is_err());
    admin.delete_topics(&["admin"], &options).await.unwrap()[0]
        .as_ref()
        .unwrap();
    let again = admin.delete_topics(&["admin"], &options).await.unwrap();
    assert_eq!(
        again[0].as_ref().unwrap_err().1,
        RDKafkaErrorCode::UnknownTopicOrPartition
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_listener_advertises_its_own_address() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = support::config(folder.path());
    config.listeners.push(broker::Listener {
        bind: ([127, 0, 0, 1], 0).into(),
        advertise: Some("lab1.example:19092".to_owned()),
    });
    let broker = broker::Broker::start(config).await.unwrap();
    let brokers = |address: String| {
        let request = RequestKind::Metadata(MetadataRequest::default());
        let answer = RawClient::connect(&address).request(ApiKey::Metadata, 9, &request);
        let Some(ResponseKind::Metadata(answer)) = answer else {
            panic!("no metadata")
        };
        (answer.brokers[0].host.to_string(), answer.brokers[0].port)
    };
    let [plain, lab] = broker.addresses()[..] else {
        panic!("two listeners")
    };
    assert_eq!(
        brokers(plain.to_string()),
        ("127.0.0.1".to_owned(), i32::from(plain.port()))
    );
    assert_eq!(brokers(lab.to_string()), ("lab1.example".to_owned(), 19092));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_deletes_old_segments() {
    let running = start_with(|config| {
        config.segment_bytes = 2_000;
        config.retention_interval = Duration::from_millis(500);
        config.retention = broker::Retention {
            bytes: Some(4_000),
            age: Some(Duration::from_secs(3600)),
        };
    })
    .await;
    produce(&running.address, "short", 0..200).await;
    let consumer: BaseConsumer = member(&running.address, "x").create().unwrap();
    let start = Instant::now();
    let low = loop {
        let (low, high) = consumer.fetch_watermarks("short", 0, DEADLINE).unwrap();
        assert_eq!(high, 200);
        if low > 0 {
            break low;
        }
        assert!(start.elapsed() < DEADLINE, "no segment was deleted");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let reader = assigned(&running.address, "short", 0, Offset::Beginning);
    assert_eq!(consume(&reader, 1)[0], format!("record {low}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn transactional_producer_is_refused() {
    let running = start().await;
    let mut config = client(&running.address);
    let producer: BaseProducer = config.set("transactional.id", "t").create().unwrap();
    assert!(producer.init_transactions(Duration::from_secs(5)).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_record_is_lost_over_many_partitions() {
    let running = start().await;
    create(&running.address, "many", 6).await;
    let producer: BaseProducer = client(&running.address).set("linger.ms", "5").create().unwrap();
    for number in 0..20_000 {
        let payload = format!("{number}");
        let record = BaseRecord::<str, str>::to("many").payload(&payload).key(&payload);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.poll(Duration::ZERO);
    }
    producer.flush(DEADLINE).unwrap();
    let consumer = join(&running.address, "all", "many");
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for payload in consume(&consumer, 20_000) {
        *seen.entry(payload).or_default() += 1;
    }
    assert_eq!(seen.len(), 20_000);
}
