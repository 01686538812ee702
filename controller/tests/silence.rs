//! The causes of an unresponsive runner, over the embedded broker: the controller's error names the likeliest.
//! Multi-threaded, because dropping a client waits for its broker, which runs in the same process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use controller::peer::link::links;
use protocol::bus::{BusConfig, Cause, EventReceiver, Reply, connect_controller, connect_runner};
use protocol::envelope::VERSION;
use protocol::event::Pong;
use protocol::sign::SigningKey;
use protocol::{Epoch, Event};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use testkit::bus::TestBroker;
use testkit::name;
use tokio::task::JoinHandle;

/// The controller's timeout; in these tests no reply ever arrives.
const TIMEOUT: Duration = Duration::from_millis(2500);
const SOON: Duration = Duration::from_secs(20);

fn key(text: &str) -> Option<SigningKey> {
    Some(SigningKey::new(text.as_bytes()).unwrap())
}

struct Lab {
    broker: TestBroker,
}

impl Lab {
    async fn new() -> Self {
        Self {
            broker: TestBroker::start().await,
        }
    }

    fn with(&self, key: Option<SigningKey>) -> BusConfig {
        BusConfig {
            key,
            ..self.broker.bus.clone()
        }
    }

    /// A daemon that answers every accepted command with PONG.
    async fn daemon(&self, host: &str, key: Option<SigningKey>) -> JoinHandle<()> {
        let (events, mut commands) = connect_runner(&self.with(key), &name(host), None).await.unwrap();
        tokio::spawn(async move {
            loop {
                let command = commands.recv().await;
                let pong = Event::Pong(Pong { clock_ns: 1 });
                events.send(&Reply::to(&command), pong).await.unwrap();
            }
        })
    }

    /// The controller's error when `lab-2` does not answer a PING.
    async fn ping_error(&self, key: Option<SigningKey>) -> String {
        let (commands, events) = connect_controller(&self.with(key), &name("night"), Epoch(1))
            .await
            .unwrap();
        let links = links(&commands, events, [&name("lab-2")]);
        links[0].ping(TIMEOUT).await.unwrap_err().to_string()
    }

    /// Publishes bytes on the topic of events.
    async fn publish(&self, bytes: &str) {
        let producer: FutureProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.broker.bus.brokers)
            .create()
            .unwrap();
        let topic = format!("{}runner", self.broker.bus.prefix);
        let record = FutureRecord::<(), str>::to(&topic).payload(bytes);
        producer.send(record, SOON).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn different_keys() {
    let lab = Lab::new().await;
    let (ours, theirs) = ("0123456789abcdef", "fedcba9876543210");
    let unsigned = lab.daemon("lab-2", None).await;
    let error = lab.ping_error(key(ours)).await;
    assert!(
        error.contains("its messages arrive but are not signed, and this controller has a `key_file`"),
        "{error}"
    );
    unsigned.abort();
    let _signed = lab.daemon("lab-2", key(theirs)).await;
    let error = lab.ping_error(key(ours)).await;
    assert!(error.contains("arrive but are signed with another key"), "{error}");
    let error = lab.ping_error(None).await;
    assert!(
        error.contains(
            "it refuses this controller's commands (message between controller night and host lab-2 is not signed"
        ),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_from_the_host() {
    let lab = Lab::new().await;
    let error = lab.ping_error(None).await;
    let topic = format!(
        "nothing arrived on topic {}runner from this host; no other host sent anything",
        lab.broker.bus.prefix
    );
    assert!(error.contains(&topic), "{error}");
    assert!(
        error.contains("start `runner --config runner.toml` on that host with name = \"lab-2\""),
        "{error}"
    );
}

/// Waits until the reported cause satisfies `is_it`.
async fn cause(events: &mut EventReceiver, is_it: impl Fn(&Cause) -> bool) -> Cause {
    let (traffic, began) = (events.traffic(), Instant::now());
    let since = began.checked_sub(Duration::from_secs(3600)).unwrap_or(began);
    loop {
        let cause = traffic.cause(&name("lab-2"), since);
        if is_it(&cause) {
            return cause;
        }
        assert!(began.elapsed() < SOON, "{cause}");
        // No message on the topic is for this controller; this only processes what arrives.
        let _ = tokio::time::timeout(Duration::from_millis(50), events.recv()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rejected_message_is_a_cause() {
    let lab = Lab::new().await;
    let (_, mut events) = connect_controller(&lab.broker.bus, &name("night"), Epoch(1))
        .await
        .unwrap();
    lab.publish("not JSON").await;
    let found = cause(&mut events, |cause| {
        matches!(cause, Cause::Nothing { anonymous: Some(_), .. })
    })
    .await;
    assert!(found.to_string().contains("is not JSON with a version"), "{found}");
    let newer = u64::from(VERSION) + 1;
    lab.publish(&format!("{{\"version\": {newer}, \"host\": \"lab-3\"}}"))
        .await;
    let found = cause(
        &mut events,
        |cause| matches!(cause, Cause::Nothing { others, .. } if !others.is_empty()),
    )
    .await;
    assert!(found.to_string().contains("hosts that did send: lab-3"), "{found}");
    lab.publish(&format!(
        "{{\"version\": {VERSION}, \"host\": \"lab-2\", \"surprise\": 1}}"
    ))
    .await;
    let found = cause(&mut events, |cause| matches!(cause, Cause::Unreadable { .. })).await;
    assert!(found.to_string().contains("surprise"), "{found}");
    lab.publish(&format!("{{\"version\": {newer}, \"host\": \"lab-2\", \"new\": {{}}}}"))
        .await;
    cause(&mut events, |cause| *cause == Cause::WrongVersion { given: newer }).await;
}
