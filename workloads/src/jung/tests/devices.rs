use std::sync::{Arc, Mutex};
use std::time::Duration;

use uuid::Uuid;

use crate::jung::bus::fake::FakeBus;
use crate::jung::device_commander::DeviceCommander;
use crate::jung::device_gateway::DeviceGateway;
use crate::jung::device_gateway::simulation::Simulation;
use crate::jung::device_monitor::DeviceMonitor;
use crate::jung::handler::Handler;
use crate::jung::message::*;

use super::{context, device, device_id, process};

fn write(value: f64) -> WriteReading {
    WriteReading {
        device: device_id("d"),
        reading: Reading { timestamp_ms: 1, value },
    }
}

async fn read(monitor: &DeviceMonitor, page: u32, size: u32) -> Result<Page, Fault> {
    let answer = process(
        monitor,
        ReadReadings {
            device: device_id("d"),
            page,
            size,
        },
    )
    .await?;
    Ok(ReadReadings::reply(answer).unwrap())
}

fn values(page: &Page) -> Vec<f64> {
    page.readings.iter().map(|reading| reading.value).collect()
}

#[tokio::test]
async fn pages_contain_readings_newest_first() {
    let monitor = DeviceMonitor::new(100);
    for value in 0..5 {
        process(&monitor, write(f64::from(value))).await.unwrap();
    }
    let first = read(&monitor, 0, 2).await.unwrap();
    assert_eq!((values(&first), first.total, first.kept), (vec![4.0, 3.0], 5, 5));
    assert_eq!(values(&read(&monitor, 2, 2).await.unwrap()), [0.0]);
    assert_eq!(read(&monitor, 3, 2).await.unwrap_err().kind, FaultKind::NotFound);
    assert_eq!(
        read(&monitor, u32::MAX, 1000).await.unwrap_err().kind,
        FaultKind::NotFound
    );
    assert_eq!(read(&monitor, 0, 0).await.unwrap_err().kind, FaultKind::Malformed);
    assert_eq!(read(&monitor, 0, 1001).await.unwrap_err().kind, FaultKind::Malformed);
}

#[tokio::test]
async fn device_without_readings_has_one_empty_page() {
    let page = read(&DeviceMonitor::new(100), 0, 20).await.unwrap();
    assert_eq!((page.total, page.readings), (0, vec![]));
}

#[tokio::test]
async fn late_readings_are_sorted_by_time() {
    let monitor = DeviceMonitor::new(3);
    for timestamp_ms in [50_u32, 10, 40, 20, 30] {
        let reading = Reading {
            timestamp_ms: timestamp_ms.into(),
            value: timestamp_ms.into(),
        };
        process(
            &monitor,
            WriteReading {
                device: device_id("d"),
                reading,
            },
        )
        .await
        .unwrap();
    }
    let page = read(&monitor, 0, 20).await.unwrap();
    assert_eq!((values(&page), page.total), (vec![50.0, 40.0, 30.0], 5));
}

#[tokio::test]
async fn oldest_readings_are_evicted_but_counted() {
    let monitor = DeviceMonitor::new(3);
    for value in 0..10 {
        monitor.replay(context(), write(f64::from(value)).into_task());
    }
    let page = read(&monitor, 0, 20).await.unwrap();
    assert_eq!((values(&page), page.total, page.kept), (vec![9.0, 8.0, 7.0], 10, 3));
}

fn command(name: &str) -> SendCommand {
    SendCommand {
        command: Uuid::new_v4(),
        device: device_id(name),
        value: 30.0,
        origin: Origin::User,
    }
}

#[tokio::test]
async fn command_is_forwarded_to_the_cached_gateway() {
    let bus = FakeBus::new();
    bus.on::<GetDevice>(|_| Ok(device("d", "anna")));
    let commander = DeviceCommander::new(bus.clone());
    let first = command("d");
    process(&commander, first.clone()).await.unwrap();
    let sent = bus.take_sent();
    assert_eq!(
        (sent[0].0.as_str(), sent[1].0.as_str()),
        ("device-registry GET", "device-gateway ACTUATE")
    );
    assert_eq!(sent[1].1["command"], first.command.to_string());
    assert_eq!(
        (&sent[1].1["gateway"], &sent[1].1["value"]),
        (&"g".into(), &30.0.into())
    );
    process(&commander, command("d")).await.unwrap();
    assert_eq!(bus.take_names(), ["device-gateway ACTUATE"]);
}

#[tokio::test]
async fn command_for_an_unknown_device_is_refused() {
    let bus = FakeBus::new();
    bus.on::<GetDevice>(|_| Err(Fault::not_found("device", "x")));
    let commander = DeviceCommander::new(bus.clone());
    for _ in 0..2 {
        assert_eq!(
            process(&commander, command("x")).await.unwrap_err().kind,
            FaultKind::NotFound
        );
        assert_eq!(bus.take_names(), ["device-registry GET"], "a refusal is not cached");
    }
}

fn attach(gateway: &str) -> Attach {
    Attach {
        gateway: gateway.into(),
        device: device_id("d"),
        value: 20.0,
    }
}

#[tokio::test(start_paused = true)]
async fn devices_send_their_state_once_a_second() {
    let (bus, simulation) = (FakeBus::new(), Arc::new(Mutex::new(Simulation::default())));
    let gateway = DeviceGateway::new(bus.clone(), "g".into(), simulation);
    process(&gateway, attach("g")).await.unwrap();
    // Two thirds into a second, so that no slot is at the edge.
    let _ = tokio::time::timeout(Duration::from_millis(3667), gateway.background()).await;
    let sent = bus.take_sent();
    assert!((3..=4).contains(&sent.len()), "{sent:?}");
    assert!(
        sent.iter()
            .all(|(name, task)| name == "device-monitor WRITE" && task["reading"]["value"] == 20.0)
    );
    let actuate = Actuate {
        gateway: "g".into(),
        command: Uuid::new_v4(),
        device: device_id("d"),
        value: 30.0,
        origin: Origin::User,
    };
    process(&gateway, actuate).await.unwrap();
    let _ = tokio::time::timeout(Duration::from_millis(1010), gateway.background()).await;
    assert_eq!(bus.take_sent().last().unwrap().1["reading"]["value"], 30.0);
}

#[tokio::test]
async fn gateway_skips_tasks_for_other_gateways() {
    let gateway = DeviceGateway::new(FakeBus::new(), "g".into(), Arc::default());
    assert!(gateway.accepts(&attach("g").into_task()));
    assert!(!gateway.accepts(&attach("h").into_task()));
    assert!(gateway.accepts(&PingOf::<GatewayTask>::partition(0).into_task()));
    let unknown = Actuate {
        gateway: "g".into(),
        command: Uuid::nil(),
        device: device_id("ghost"),
        value: 0.0,
        origin: Origin::Rule,
    };
    assert_eq!(process(&gateway, unknown).await.unwrap_err().kind, FaultKind::NotFound);
}
