//! External programs: kcat, python3-confluent-kafka, Apache Kafka's console tools.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::start;
use support::tools::{kafka_tool, run};

/// Runs blocking work while the broker runs.
async fn blocking(work: impl FnOnce() + Send + 'static) {
    tokio::task::spawn_blocking(work).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs kcat"]
async fn kcat_produces_and_consumes() {
    let running = start().await;
    let address = running.address.clone();
    blocking(move || {
        let input: String = (0..1000).map(|n| format!("line {n}\n")).collect();
        for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
            let topic = format!("kcat-{codec}");
            run(
                "kcat",
                &[
                    "-b",
                    &address,
                    "-P",
                    "-t",
                    &topic,
                    "-z",
                    codec,
                    "-X",
                    "enable.idempotence=true",
                ],
                &input,
            );
            let output = run("kcat", &["-b", &address, "-C", "-t", &topic, "-e", "-q"], "");
            assert_eq!(output, input, "{codec}");
        }
        let list = run("kcat", &["-b", &address, "-L"], "");
        assert!(list.contains("5 topics"), "{list}");
        let arguments = [
            "-b",
            &address,
            "-G",
            "group",
            "kcat-none",
            "-c",
            "1000",
            "-X",
            "auto.offset.reset=earliest",
        ];
        let output = run("kcat", &[&arguments[..], &["-q"]].concat(), "");
        assert_eq!(output, input);
        let by_time = run("kcat", &["-b", &address, "-Q", "-t", "kcat-gzip:0:0"], "");
        assert!(by_time.contains("offset 0"), "{by_time}");
    })
    .await;
}

const PYTHON: &str = r#"
import sys
from confluent_kafka import Producer, Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
address = sys.argv[1]
admin = AdminClient({"bootstrap.servers": address})
admin.create_topics([NewTopic("py", 3, 1)])["py"].result(30)
failed = []
producer = Producer({"bootstrap.servers": address, "enable.idempotence": True, "compression.type": "lz4"})
for n in range(500):
    producer.produce("py", str(n), key=str(n), on_delivery=lambda e, m: e and failed.append(e))
assert producer.flush(60) == 0 and not failed, failed
consumer = Consumer({"bootstrap.servers": address, "group.id": "py", "auto.offset.reset": "earliest",
                     "session.timeout.ms": 6000, "enable.auto.commit": False})
consumer.subscribe(["py"])
seen = set()
while len(seen) < 500:
    message = consumer.poll(30)
    assert message is not None, len(seen)
    assert message.error() is None, message.error()
    seen.add(message.value().decode())
assert seen == {str(n) for n in range(500)}
consumer.commit(asynchronous=False)
committed = consumer.committed([TopicPartition("py", p) for p in range(3)], timeout=30)
assert sum(c.offset for c in committed) == 500, committed
groups = admin.list_groups("py", timeout=30)
assert groups[0].state == "Stable" and len(groups[0].members) == 1, groups
consumer.close()
admin.delete_topics(["py"])["py"].result(30)
print("good")
"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3-confluent-kafka"]
async fn python_client_works() {
    let running = start().await;
    let address = running.address.clone();
    blocking(move || assert_eq!(run("/usr/bin/python3", &["-c", PYTHON, &address], ""), "good\n")).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Apache Kafka"]
async fn apache_kafka_tools_work() {
    let running = start().await;
    let address = running.address.clone();
    blocking(move || {
        let server = ["--bootstrap-server", &address];
        let tool = |name: &str, more: &[&str], input: &str| kafka_tool(&[&[name], &server[..], more].concat(), input);
        let created = tool("topics", &["--create", "--topic", "java", "--partitions", "3"], "");
        assert!(created.contains("Created topic java"), "{created}");
        let described = tool("topics", &["--describe", "--topic", "java"], "");
        assert!(described.contains("PartitionCount: 3"), "{described}");
        let input: String = (0..200).map(|n| format!("line {n}\n")).collect();
        tool("console-producer", &["--topic", "java"], &input);
        let more = [
            "--topic",
            "java",
            "--from-beginning",
            "--max-messages",
            "200",
            "--group",
            "java-group",
        ];
        let output = tool(
            "console-consumer",
            &[&more[..], &["--timeout-ms", "60000"]].concat(),
            "",
        );
        let sorted = |text: &str| {
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&output), sorted(&input));
        let groups = tool("consumer-groups", &["--describe", "--group", "java-group"], "");
        assert_eq!(groups.matches("java-group").count(), 3, "{groups}");
        assert!(tool("consumer-groups", &["--list"], "").contains("java-group"));
        let reset = [
            "--group",
            "java-group",
            "--topic",
            "java",
            "--reset-offsets",
            "--to-earliest",
            "--execute",
        ];
        tool("consumer-groups", &reset, "");
        let offsets = tool("get-offsets", &["--topic", "java"], "");
        let ends = offsets
            .lines()
            .filter_map(|line| line.rsplit(':').next()?.parse::<u32>().ok());
        assert_eq!(ends.sum::<u32>(), 200, "{offsets}");
        tool("topics", &["--alter", "--topic", "java", "--partitions", "4"], "");
        let altered = [
            "--alter",
            "--entity-type",
            "topics",
            "--entity-name",
            "java",
            "--add-config",
            "retention.ms=9999",
        ];
        tool("configs", &altered, "");
        let shown = tool(
            "configs",
            &["--describe", "--entity-type", "topics", "--entity-name", "java"],
            "",
        );
        assert!(shown.contains("retention.ms=9999"), "{shown}");
        tool("consumer-groups", &["--delete", "--group", "java-group"], "");
        tool("topics", &["--delete", "--topic", "java"], "");
        assert!(tool("broker-api-versions", &[], "").contains("Produce(0)"));
    })
    .await;
}
