//! `kill -9` of the broker and of group members, corrupted files, a full disk.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use support::process::BrokerProcess;
use support::{DEADLINE, client, member};

/// Every record of partition 0, up to the high watermark.
fn read_all(address: &str, topic: &str) -> Vec<String> {
    let consumer: BaseConsumer = member(address, "reader").create().unwrap();
    let (_, high) = consumer.fetch_watermarks(topic, 0, DEADLINE).unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let begun = Instant::now();
    let mut got = Vec::new();
    let mut at = 0;
    while at < high {
        assert!(begun.elapsed() < DEADLINE, "only read up to offset {at} of {high}");
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        at = message.offset() + 1;
        got.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
    }
    got
}

/// Sends a record and waits until it is acknowledged.
async fn send(producer: &FutureProducer, payload: &str) {
    let record = FutureRecord::<(), _>::to("t").payload(payload).partition(0);
    producer
        .send(record, DEADLINE)
        .await
        .map_err(|(error, _)| error)
        .unwrap();
}

/// Produces `count` records in a task; returns the task and the number of records acknowledged so far.
fn spawn_producer(address: &str, count: usize) -> (tokio::task::JoinHandle<()>, Arc<AtomicUsize>) {
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut config = client(address);
    config.set("message.timeout.ms", "120000").set("linger.ms", "1");
    let producer: FutureProducer = config.create().unwrap();
    let counter = Arc::clone(&acknowledged);
    let task = tokio::spawn(async move {
        let mut waiting = std::collections::VecDeque::new();
        for number in 0..count {
            let payload = number.to_string();
            let record = FutureRecord::<(), _>::to("t").payload(&payload).partition(0);
            waiting.push_back(producer.send_result(record).map_err(|(error, _)| error).unwrap());
            while waiting.len() > 200 || (number + 1 == count && !waiting.is_empty()) {
                waiting
                    .pop_front()
                    .unwrap()
                    .await
                    .unwrap()
                    .map_err(|(error, _)| error)
                    .unwrap();
                counter.fetch_add(1, Ordering::Relaxed);
            }
            tokio::task::yield_now().await;
        }
    });
    (task, acknowledged)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_broker_neither_loses_nor_duplicates_records() {
    const COUNT: usize = 30_000;
    let folder = tempfile::tempdir().unwrap();
    let mut broker = BrokerProcess::start(folder.path(), "127.0.0.1:0", &["--segment-bytes", "200000"]);
    let address = broker.address.clone();
    let (task, acknowledged) = spawn_producer(&address, COUNT);
    for part in 1..=3 {
        while acknowledged.load(Ordering::Relaxed) < part * COUNT / 4 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        broker.kill();
        broker = BrokerProcess::start(folder.path(), &address, &["--segment-bytes", "200000"]);
    }
    task.await.unwrap();
    let got = tokio::task::spawn_blocking(move || read_all(&address, "t"))
        .await
        .unwrap();
    let expected: Vec<_> = (0..COUNT).map(|n| n.to_string()).collect();
    assert!(
        got == expected,
        "{} records instead of {COUNT}, or not in order",
        got.len()
    );
    drop(broker);
}

#[tokio::test(flavor = "multi_thread")]
async fn committed_offsets_survive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let broker = BrokerProcess::start(folder.path(), "127.0.0.1:0", &["--fsync", "always"]);
    let address = broker.address.clone();
    spawn_producer(&address, 10).0.await.unwrap();
    let consumer: BaseConsumer = member(&address, "g").create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("t", 0, Offset::Offset(7)).unwrap();
    consumer.commit(&list, CommitMode::Sync).unwrap();
    broker.kill();
    let broker = BrokerProcess::start(folder.path(), &address, &[]);
    let committed = consumer.committed_offsets(list, DEADLINE).unwrap();
    assert_eq!(committed.elements()[0].offset(), Offset::Offset(7));
    drop(broker);
}

/// A member of the group `mortal` in its own process. (kcat would do, but is not always installed.)
fn member_process(address: &str) -> std::process::Child {
    let program = Path::new(env!("CARGO_BIN_EXE_broker")).with_file_name("examples/group_member");
    std::process::Command::new(&program)
        .args([address, "mortal", "t"])
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}: cargo build -p broker --examples first", program.display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_of_a_killed_member_are_reassigned() {
    let running = support::start_with(|config| config.default_partitions = 4).await;
    let consumer: BaseConsumer = member(&running.address, "mortal").create().unwrap();
    spawn_producer(&running.address, 1).0.await.unwrap();
    consumer.subscribe(&["t"]).unwrap();
    let mut victim = member_process(&running.address);
    let wait_for = |count: usize| {
        let begun = Instant::now();
        while consumer.assignment().unwrap().count() != count {
            consumer.poll(Duration::from_millis(20));
            assert!(begun.elapsed() < DEADLINE, "never had {count} partitions");
        }
    };
    wait_for(4);
    wait_for(2);
    victim.kill().unwrap();
    victim.wait().unwrap();
    wait_for(4);
}

fn segment_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder.join("topics/t/0"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn records_before_a_corrupted_batch_survive() {
    let folder = tempfile::tempdir().unwrap();
    let start = async |folder: &Path| {
        let mut config = support::config(folder);
        config.segment_bytes = 5000;
        let broker = broker::Broker::start(config).await.unwrap();
        let address = broker.addresses()[0].to_string();
        (broker, address)
    };
    let (broker, address) = start(folder.path()).await;
    spawn_producer(&address, 300).0.await.unwrap();
    broker.stop().await;
    let files = segment_files(folder.path());
    let last = files.last().unwrap();
    let mut bytes = std::fs::read(last).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    std::fs::write(last, bytes).unwrap();

    let (broker, address) = start(folder.path()).await;
    let got = read_all(&address, "t");
    let begin: usize = last.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    assert!(got.len() >= begin && got.len() < 300, "{} records", got.len());
    let expected: Vec<_> = (0..got.len()).map(|n| n.to_string()).collect();
    assert_eq!(got, expected);
    // Appends continue after the recovered records.
    spawn_producer(&address, 5).0.await.unwrap();
    assert_eq!(read_all(&address, "t").len(), got.len() + 5);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn second_broker_on_the_same_directory_is_refused() {
    let running = support::start().await;
    let refused = broker::Broker::start(support::config(running.folder.path()))
        .await
        .unwrap_err();
    assert!(matches!(refused, broker::StartError::Locked(_)), "{refused}");
}

/// A tmpfs of 2 MiB, unmounted when dropped.
struct TinyDisk(tempfile::TempDir);

impl TinyDisk {
    fn mount() -> Self {
        let folder = tempfile::tempdir().unwrap();
        support::tools::run(
            "mount",
            &["-t", "tmpfs", "-o", "size=2m", "tiny", folder.path().to_str().unwrap()],
            "",
        );
        TinyDisk(folder)
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        support::tools::run("umount", &["-l", self.0.path().to_str().unwrap()], "");
    }
}

/// Two producers with the same id would look like duplicates and gaps of one.
#[tokio::test(flavor = "multi_thread")]
async fn producer_ids_stay_unique_when_the_data_directory_is_replaced() {
    let [before, after] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let broker = BrokerProcess::start(before.path(), "127.0.0.1:0", &[]);
    let address = broker.address.clone();
    let old: FutureProducer = client(&address).create().unwrap();
    for payload in ["lost-1", "lost-2", "lost-3"] {
        send(&old, payload).await;
    }
    broker.kill();
    let _broker = BrokerProcess::start(after.path(), &address, &[]);
    let new: FutureProducer = client(&address).create().unwrap();
    for payload in ["1", "3", "5"] {
        send(&old, payload).await;
        send(&new, &(payload.parse::<u32>().unwrap() + 1).to_string()).await;
    }
    assert_eq!(read_all(&address, "t"), ["1", "2", "3", "4", "5", "6"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root"]
async fn full_disk_is_an_error_but_not_fatal() {
    let disk = TinyDisk::mount();
    let broker = broker::Broker::start(support::config(disk.0.path())).await.unwrap();
    let address = broker.addresses()[0].to_string();
    let mut config = client(&address);
    config.set("enable.idempotence", "false").set("retries", "0");
    let producer: FutureProducer = config.create().unwrap();
    let large = "x".repeat(100_000);
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..30 {
        let sent = producer
            .send(FutureRecord::<(), _>::to("t").payload(&large), DEADLINE)
            .await;
        let outcome = sent.map_or_else(|(error, _)| error.to_string(), |_| "ok".to_owned());
        *outcomes.entry(outcome).or_default() += 1;
    }
    assert!(outcomes["ok"] > 5, "{outcomes:?}");
    assert!(
        outcomes.keys().any(|outcome| outcome.contains("KafkaStorageError")),
        "{outcomes:?}"
    );
    assert_eq!(read_all(&address, "t").len(), outcomes["ok"]);
    broker.stop().await;
}
