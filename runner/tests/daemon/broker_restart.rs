//! A broker that starts late, and one that restarts.

use std::time::Duration;

use protocol::command::Ping;
use protocol::{Command, Event};

use crate::lab::{Lab, native};

#[tokio::test(flavor = "multi_thread")]
async fn the_runner_may_start_before_the_broker() {
    let mut lab = Lab::without_broker();
    let runner = lab.runner();
    runner.wait_for_log("no Kafka broker responds", 1).await;
    lab.start_broker().await;
    runner.wait_until_serving(1).await;
    let mut controller = lab.controller("night", 1).await;
    controller.send(None, Command::Ping(Ping {}));
    assert_eq!(controller.words(1).await, ["PONG"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_broker_neither_loses_nor_repeats_events() {
    let mut lab = Lab::new().await;
    let (_runner, mut controller) = lab.serving().await;
    let (attempt, _) = controller.ready(&native()).await;
    let mut batches = Vec::new();
    let Event::Samples(first) = controller.next().await.body else {
        panic!("not SAMPLES")
    };
    batches.push(first);
    lab.stop_broker().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    lab.start_broker().await;
    controller.stop(attempt);
    let mut summary = None;
    while summary
        .as_ref()
        .is_none_or(|summary: &protocol::summary::Summary| summary.batches > batches.len() as u64)
    {
        match controller.next().await.body {
            Event::Samples(batch) => batches.push(batch),
            Event::Summary(body) => summary = Some(body),
            other => panic!("{other:?}"),
        }
    }
    let numbers: Vec<u64> = batches.iter().map(|batch| batch.batch).collect();
    let all: Vec<u64> = (0..batches.len() as u64).collect();
    assert_eq!(numbers, all, "every batch once, in order");
    let samples: usize = batches.iter().map(|batch| batch.samples.len()).sum();
    assert_eq!(summary.unwrap().samples, samples as u64);
}
