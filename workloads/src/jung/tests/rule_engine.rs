use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use uuid::Uuid;

use crate::jung::bus::fake::FakeBus;
use crate::jung::handler::Handler;
use crate::jung::message::*;
use crate::jung::rule_engine::RuleEngine;

use super::{context, device, device_id, process};

fn rule(operator: Operator, operand: f64, command: f64) -> CreateRule {
    let rule = Rule {
        id: Uuid::new_v4(),
        operator,
        operand,
        command,
    };
    CreateRule {
        device: device_id("d"),
        rule,
    }
}

/// A bus on which device `d` reads the given number, with a new reading for each new number.
fn bus_with_reading(reading: &Arc<AtomicU64>) -> Arc<FakeBus> {
    let bus = FakeBus::new();
    let reading = Arc::clone(reading);
    bus.on::<GetDevice>(|_| Ok(device("d", "anna")));
    bus.on::<ReadReadings>(move |_| {
        let value = reading.load(Ordering::Relaxed);
        let newest = Reading {
            timestamp_ms: value,
            value: f64::from(u32::try_from(value).unwrap()),
        };
        Ok(Page {
            total: 1,
            kept: 1,
            readings: vec![newest],
        })
    });
    bus.on::<SendCommand>(|_| Ok(Accepted {}));
    bus
}

fn engine(bus: &Arc<FakeBus>) -> RuleEngine<FakeBus> {
    RuleEngine::new(Arc::clone(bus), 8, |partition| partition == 0)
}

async fn seconds(engine: &RuleEngine<FakeBus>, count: u64) {
    let _ = tokio::time::timeout(Duration::from_millis(count * 1000 + 10), engine.background()).await;
}

/// How often a task was sent.
fn count(bus: &FakeBus, name: &str) -> usize {
    bus.take_names().iter().filter(|sent| *sent == name).count()
}

#[tokio::test(start_paused = true)]
async fn violated_rule_fires_once_per_reading() {
    let reading = Arc::new(AtomicU64::new(20));
    let bus = bus_with_reading(&reading);
    let engine = engine(&bus);
    process(&engine, rule(Operator::Equal, 20.0, 20.0)).await.unwrap();
    assert_eq!(bus.take_names(), ["device-registry GET"]);
    seconds(&engine, 3).await;
    let names = bus.take_names();
    assert!((3..=4).contains(&names.len()), "{names:?}");
    assert!(
        names.iter().all(|name| name == "device-monitor READ"),
        "the reading complies: {names:?}"
    );
    reading.store(31, Ordering::Relaxed);
    seconds(&engine, 3).await;
    let sent = bus.take_sent();
    let commands: Vec<_> = sent
        .iter()
        .filter(|(name, _)| name == "device-commander COMMAND")
        .collect();
    assert_eq!(commands.len(), 1, "once for this reading: {sent:?}");
    assert_eq!(
        (&commands[0].1["value"], &commands[0].1["origin"]),
        (&20.0.into(), &"rule".into())
    );
    reading.store(32, Ordering::Relaxed);
    seconds(&engine, 3).await;
    assert_eq!(count(&bus, "device-commander COMMAND"), 1, "a new reading fires again");
}

#[tokio::test(start_paused = true)]
async fn failed_command_is_retried() {
    let reading = Arc::new(AtomicU64::new(31));
    let bus = bus_with_reading(&reading);
    let engine = engine(&bus);
    process(&engine, rule(Operator::Equal, 20.0, 20.0)).await.unwrap();
    bus.on::<SendCommand>(|_| Err(Fault::timeout(crate::jung::service::Service::DeviceCommander)));
    seconds(&engine, 3).await;
    assert!(count(&bus, "device-commander COMMAND") >= 3);
}

#[test]
fn operators_compare() {
    use Operator::{Equal, Greater, Less, NotEqual};
    for (operator, below, same, above) in [
        (Equal, false, true, false),
        (NotEqual, true, false, true),
        (Greater, false, false, true),
        (Less, true, false, false),
    ] {
        let holds = [1.0, 2.0, 3.0].map(|reading| operator.holds(reading, 2.0));
        assert_eq!(holds, [below, same, above], "{operator:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_devices_of_owned_partitions_are_checked() {
    let bus = bus_with_reading(&Arc::new(AtomicU64::new(31)));
    let engine = engine(&bus);
    let mut elsewhere = context();
    elsewhere.partition = 1;
    engine.replay(elsewhere, rule(Operator::Equal, 20.0, 20.0).into_task());
    seconds(&engine, 3).await;
    assert!(bus.take_names().is_empty());
}

#[tokio::test]
async fn rules_are_stored_once_and_in_order() {
    let bus = bus_with_reading(&Arc::default());
    let engine = engine(&bus);
    let (first, second) = (rule(Operator::Less, 1.0, 2.0), rule(Operator::Greater, 1.0, 2.0));
    for create in [&first, &second, &first] {
        process(&engine, create.clone()).await.unwrap();
    }
    assert_eq!(bus.take_names(), ["device-registry GET"], "the device is cached");
    let answer = process(&engine, GetRules { device: device_id("d") }).await.unwrap();
    assert_eq!(GetRules::reply(answer).unwrap().rules, [first.rule, second.rule]);
    let answer = process(
        &engine,
        GetRules {
            device: device_id("none"),
        },
    )
    .await
    .unwrap();
    assert!(GetRules::reply(answer).unwrap().rules.is_empty());
}

#[tokio::test]
async fn rule_for_an_unknown_device_or_over_the_limit_is_refused() {
    let bus = FakeBus::new();
    bus.on::<GetDevice>(|_| Err(Fault::not_found("device", "d")));
    let engine = engine(&bus);
    let refused = process(&engine, rule(Operator::Less, 1.0, 2.0)).await.unwrap_err();
    assert_eq!(refused.kind, FaultKind::NotFound);
    for _ in 0..101 {
        engine.replay(context(), rule(Operator::Less, 1.0, 2.0).into_task());
    }
    let answer = process(&engine, GetRules { device: device_id("d") }).await.unwrap();
    assert_eq!(GetRules::reply(answer).unwrap().rules.len(), 100, "there is a limit");
}
