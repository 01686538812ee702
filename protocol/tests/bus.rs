//! The bus over real brokers: ours, and Apache Kafka (`JUNG_TEST_KAFKA=host:port`).
//! The runtimes are multi-threaded because dropping a client waits for its broker, which runs in the same process.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use protocol::bus::{BusConfig, BusError, Reply, connect_controller, connect_runner};
use protocol::command::{Ping, Stop, StopReason};
use protocol::event::Pong;
use protocol::sample::Samples;
use protocol::sign::SigningKey;
use protocol::{AttemptId, Command, Epoch, Event};
use testkit::bus::{TestBroker, bus_config};
use testkit::name;
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(20);

/// One attempt to connect.
const ONCE: Option<Duration> = Some(Duration::ZERO);

fn apache() -> BusConfig {
    bus_config(&std::env::var("JUNG_TEST_KAFKA").expect("JUNG_TEST_KAFKA names an Apache Kafka"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_and_its_replies_over_our_broker() {
    let broker = TestBroker::start().await;
    conversation(broker.bus.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Apache Kafka"]
async fn a_command_and_its_replies_over_apache_kafka() {
    conversation(apache()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_addressed_messages_arrive_over_our_broker() {
    let broker = TestBroker::start().await;
    addressed(broker.bus.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Apache Kafka"]
async fn only_addressed_messages_arrive_over_apache_kafka() {
    addressed(apache()).await;
}

async fn conversation(config: BusConfig) {
    let config = BusConfig {
        key: Some(SigningKey::new(b"0123456789abcdef").unwrap()),
        ..config
    };
    let (host, controller, attempt) = (name("lab"), name("night"), AttemptId::fresh());
    let (events_out, mut commands_in) = connect_runner(&config, &host, ONCE).await.unwrap();
    let (commands_out, mut events_in) = connect_controller(&config, &controller, Epoch(7)).await.unwrap();

    let id = commands_out.send(&host, Some(attempt), Command::Ping(Ping {}));
    let command = timeout(TIMEOUT, commands_in.recv()).await.unwrap();
    assert_eq!(
        (command.id, command.attempt, command.epoch),
        (id, Some(attempt), Epoch(7))
    );

    let reply = Reply::to(&command);
    let samples = Event::Samples(Samples {
        batch: 0,
        samples: vec![],
    });
    events_out
        .send(&reply, Event::Pong(Pong { clock_ns: 1 }))
        .await
        .unwrap();
    events_out.send(&reply, samples.clone()).await.unwrap();
    let mut received = vec![];
    for _ in 0..2 {
        let event = timeout(TIMEOUT, events_in.recv()).await.unwrap().unwrap();
        assert_eq!(event.in_reply_to, Some(id));
        received.push(event.body);
    }
    assert!(
        received.contains(&samples) && received.contains(&Event::Pong(Pong { clock_ns: 1 })),
        "{received:?}"
    );
}

/// Unsigned commands and commands for another host do not arrive; commands of one host stay in order.
async fn addressed(config: BusConfig) {
    let signed = BusConfig {
        key: Some(SigningKey::new(b"0123456789abcdef").unwrap()),
        ..config.clone()
    };
    let (lab, other) = (name("lab"), name("other"));
    let (_, mut commands_in) = connect_runner(&signed, &lab, ONCE).await.unwrap();
    let (stranger, _) = connect_controller(&config, &name("stranger"), Epoch(1)).await.unwrap();
    let (friend, _) = connect_controller(&signed, &name("friend"), Epoch(1)).await.unwrap();

    stranger.send(&lab, None, Command::Ping(Ping {}));
    friend.send(&other, None, Command::Ping(Ping {}));
    for reason in [StopReason::Finished, StopReason::Cancelled, StopReason::Deadline] {
        friend.send(&lab, None, Command::Stop(Stop { reason }));
    }
    for expected in [StopReason::Finished, StopReason::Cancelled, StopReason::Deadline] {
        let command = timeout(TIMEOUT, commands_in.recv()).await.unwrap();
        assert_eq!(command.controller, name("friend"));
        assert_eq!(command.body, Command::Stop(Stop { reason: expected }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_broker_is_named() {
    let error = connect_runner(&bus_config("127.0.0.1:1"), &name("lab"), ONCE)
        .await
        .unwrap_err();
    assert!(matches!(error, BusError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_option_is_named() {
    let mut config = bus_config("127.0.0.1:1");
    config.options.insert("no.such.option".into(), "1".into());
    let error = connect_runner(&config, &name("lab"), ONCE).await.unwrap_err();
    assert!(error.to_string().contains("no.such.option"), "{error}");
}

/// The last commit is never answered: librdkafka's own close would wait for it for minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_closes_although_its_broker_is_gone() {
    let TestBroker {
        broker, bus: config, ..
    } = TestBroker::start().await;
    let (host, controller) = (name("lab"), name("night"));
    let (_events_out, mut commands_in) = connect_runner(&config, &host, ONCE).await.unwrap();
    let (commands_out, _events_in) = connect_controller(&config, &controller, Epoch(1)).await.unwrap();
    commands_out.send(&host, None, Command::Ping(Ping {}));
    timeout(TIMEOUT, commands_in.recv()).await.unwrap();
    broker.stop().await;
    // Asking for the next message commits the last.
    let none = timeout(Duration::from_millis(200), commands_in.recv()).await;
    assert!(none.is_err());
    let closed = tokio::task::spawn_blocking(move || drop(commands_in));
    timeout(TIMEOUT, closed).await.unwrap().unwrap();
}
