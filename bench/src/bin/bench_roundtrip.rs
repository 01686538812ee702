//! Benchmark with rdkafka: round-trip time over two topics, and produce throughput.
//!
//! ```text
//! cargo run --release -p bench --bin bench_roundtrip                        # a broker of ours in this process
//! cargo run --release -p bench --bin bench_roundtrip -- --brokers HOST:PORT # any broker
//! cargo run --release -p bench --bin bench_roundtrip -- --against HOST:PORT # ours and another one, and the ratio
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use broker::{Broker, Config, FsyncPolicy, Listener};
use clap::Parser;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

/// Measures the round-trip time over two topics and the produce throughput of a broker.
#[derive(Debug, Parser)]
struct Arguments {
    /// The broker to measure; by default one is started in this process.
    #[arg(long, value_name = "HOST:PORT")]
    brokers: Option<String>,
    /// A second broker to measure in the same run; prints the ratios.
    #[arg(long, value_name = "HOST:PORT")]
    against: Option<String>,
    /// Number of measured round trips, after a warm-up of a tenth as many.
    #[arg(long, default_value_t = 3000)]
    count: usize,
    /// Number of records of the throughput measurement.
    #[arg(long, default_value_t = 300_000)]
    records: usize,
    /// Size of requests, replies and records in bytes.
    #[arg(long, default_value_t = 330)]
    size: usize,
    /// Number of rounds; the brokers alternate, and the median round is printed.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// Results of one broker.
#[derive(Debug, Clone, Copy)]
struct Figures {
    p50: Duration,
    p99: Duration,
    per_second: f64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir()?;
    let own = match arguments.brokers {
        None => Some(start(folder.path()).await?),
        Some(_) => None,
    };
    let address = |own: &Broker| own.addresses()[0].to_string();
    let first = arguments
        .brokers
        .clone()
        .or(own.as_ref().map(address))
        .context("no broker")?;
    let mut names = vec![first];
    names.extend(arguments.against.clone());
    let mut rounds: Vec<Vec<Figures>> = vec![Vec::new(); names.len()];
    for round in 0..arguments.rounds {
        for (name, figures) in names.iter().zip(&mut rounds) {
            let (name, size, count, records) = (name.clone(), arguments.size, arguments.count, arguments.records);
            let measured = tokio::task::spawn_blocking(move || measure(&name, round, size, count, records)).await??;
            figures.push(measured);
        }
    }
    let figures: Vec<Figures> = rounds.into_iter().map(median).collect();
    print(&names, &figures);
    if let Some(own) = own {
        own.stop().await;
    }
    Ok(())
}

async fn start(folder: &std::path::Path) -> anyhow::Result<Broker> {
    let local = Listener {
        bind: ([127, 0, 0, 1], 0).into(),
        advertise: None,
    };
    let data = folder.to_owned();
    let config = Config {
        listeners: vec![local],
        data,
        fsync: FsyncPolicy::Never,
        ..Config::default()
    };
    Ok(Broker::start(config).await?)
}

fn median(mut rounds: Vec<Figures>) -> Figures {
    rounds.sort_by_key(|figures| figures.p99);
    rounds[rounds.len() / 2]
}

fn print(names: &[String], figures: &[Figures]) {
    let ms = |d: Duration| d.as_secs_f64() * 1000.0;
    println!(
        "{:<24} {:>10} {:>10} {:>14}",
        "broker", "p50 ms", "p99 ms", "produced/s"
    );
    for (name, f) in names.iter().zip(figures) {
        println!(
            "{name:<24} {:>10.3} {:>10.3} {:>14.0}",
            ms(f.p50),
            ms(f.p99),
            f.per_second
        );
    }
    if let [a, b] = figures {
        let (p50, p99) = (ms(a.p50) / ms(b.p50), ms(a.p99) / ms(b.p99));
        println!(
            "{:<24} {p50:>10.2} {p99:>10.2} {:>14.2}",
            "ratio first/second",
            a.per_second / b.per_second
        );
    }
}

fn measure(brokers: &str, round: usize, size: usize, count: usize, records: usize) -> anyhow::Result<Figures> {
    let tag = format!("{}-{round}-{}", std::process::id(), brokers.replace([':', ','], "-"));
    let topics = [format!("request-{tag}"), format!("reply-{tag}"), format!("bulk-{tag}")];
    create(brokers, &topics)?;
    let times = round_trips(brokers, &topics[0], &topics[1], size, count)?;
    let per_second = throughput(brokers, &topics[2], size, records)?;
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    Ok(Figures {
        p50: at(50),
        p99: at(99),
        per_second,
    })
}

fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("linger.ms", "0")
        .set("enable.idempotence", "true");
    config
}

fn create(brokers: &str, topics: &[String]) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> = client(brokers).create()?;
    let wanted: Vec<_> = topics
        .iter()
        .map(|name| NewTopic::new(name, 1, TopicReplication::Fixed(1)))
        .collect();
    let created = admin.create_topics(&wanted, &AdminOptions::new());
    for result in tokio::runtime::Handle::current().block_on(created)? {
        result.map_err(|(topic, error)| anyhow::anyhow!("failed to create topic {topic}: {error}"))?;
    }
    Ok(())
}

fn consumer(brokers: &str, topic: &str) -> anyhow::Result<BaseConsumer> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("group.id", "unused")
        .set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create()?;
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&partitions)?;
    Ok(consumer)
}

/// Sorted round-trip times: from before the request is sent until its reply is received.
fn round_trips(brokers: &str, to: &str, back: &str, size: usize, count: usize) -> anyhow::Result<Vec<Duration>> {
    let done = Arc::new(AtomicBool::new(false));
    let responder = {
        let (brokers, to, back, done) = (brokers.to_owned(), to.to_owned(), back.to_owned(), Arc::clone(&done));
        std::thread::spawn(move || respond(&brokers, &to, &back, &done))
    };
    let producer: BaseProducer = client(brokers).create()?;
    let replies = consumer(brokers, back)?;
    let mut times = Vec::with_capacity(count);
    for number in 0..count + count / 10 {
        let payload = format!("{number:0size$}");
        let start = Instant::now();
        send(&producer, to, payload.as_bytes())?;
        let reply = replies
            .poll(Duration::from_secs(20))
            .context("no reply within 20 s")??;
        if reply.payload() != Some(payload.as_bytes()) {
            bail!("received the reply to another request");
        }
        if number >= count / 10 {
            times.push(start.elapsed());
        }
    }
    done.store(true, Ordering::Relaxed);
    responder.join().map_err(|_| anyhow::anyhow!("responder panicked"))??;
    times.sort();
    Ok(times)
}

fn respond(brokers: &str, to: &str, back: &str, done: &AtomicBool) -> anyhow::Result<()> {
    let producer: BaseProducer = client(brokers).create()?;
    let requests = consumer(brokers, to)?;
    while !done.load(Ordering::Relaxed) {
        if let Some(request) = requests.poll(Duration::from_millis(100)) {
            send(&producer, back, request?.payload().unwrap_or_default())?;
        }
    }
    Ok(())
}

fn send(producer: &BaseProducer, topic: &str, payload: &[u8]) -> anyhow::Result<()> {
    let record = BaseRecord::<(), [u8]>::to(topic).payload(payload).partition(0);
    producer.send(record).map_err(|(error, _)| error)?;
    producer.poll(Duration::ZERO);
    Ok(())
}

/// Records per second until all are acknowledged.
fn throughput(brokers: &str, topic: &str, size: usize, records: usize) -> anyhow::Result<f64> {
    let mut config = client(brokers);
    config
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "1000000");
    let producer: BaseProducer = config.create()?;
    let payload = vec![b'A'; size];
    let start = Instant::now();
    for _ in 0..records {
        send(&producer, topic, &payload)?;
    }
    producer.flush(Duration::from_secs(120))?;
    Ok(records as f64 / start.elapsed().as_secs_f64())
}
