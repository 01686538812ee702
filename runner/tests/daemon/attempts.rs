//! Successful attempts, and commands that are repeated, early or from the wrong controller.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use protocol::command::{Describe, Ping};
use protocol::event::{RefusedReason, Stage};
use protocol::sample::{Counter, Subject};
use protocol::spec::{FakeFailure, FakeSpec, NativeSpec, PlatformSpec};
use protocol::{AttemptId, Command, Event};

use crate::lab::{Lab, fake, is_alive, journaled, native};

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_attempt_on_the_native_platform() {
    let lab = Lab::new().await;
    let (_runner, mut controller) = lab.serving().await;

    let platforms = vec![
        PlatformSpec::Native(NativeSpec {}),
        PlatformSpec::Fake(FakeSpec {
            start_ms: 0,
            fail: Some(FakeFailure::Probe),
        }),
    ];
    controller
        .send(
            None,
            Command::Describe(Describe {
                platforms,
                ..Describe::default()
            }),
        )
        .await;
    let Event::Facts(facts) = controller.answer().await else {
        panic!("not FACTS")
    };
    assert_eq!(facts.host, lab.name);
    let unmet: Vec<bool> = facts
        .platforms
        .iter()
        .map(|platform| platform.unmet.is_some())
        .collect();
    assert_eq!(unmet, [false, true]);
    controller.send(None, Command::Ping(Ping {})).await;
    let Event::Pong(pong) = controller.answer().await else {
        panic!("not PONG")
    };

    let (attempt, ready) = controller.ready(&native()).await;
    assert!(ready.clock_ns > pong.clock_ns, "one clock");
    assert!(ready.startup[0].first_reply_ns >= ready.startup[0].process_ns);
    assert_eq!(journaled(&lab), 1);
    let mut reply = String::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(ready.endpoints[0].address).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        reply.clear();
        stream.read_to_string(&mut reply).unwrap();
    }
    assert!(reply.ends_with("\r\n\r\nAAAAAAAAAA"), "{reply}");

    // Samples are sent while it runs, not only at the end.
    let mut batches = Vec::new();
    let Event::Samples(first) = controller.next().await.body else {
        panic!("not SAMPLES")
    };
    batches.push(first);
    controller.stop(attempt).await;
    let (mut summary, mut samples) = (None, 0);
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
    let summary = summary.unwrap();
    for (number, batch) in batches.iter().enumerate() {
        assert_eq!(batch.batch, number as u64);
        samples += batch.samples.len() as u64;
    }
    assert_eq!((summary.batches, summary.samples), (batches.len() as u64, samples));
    let sampled = batches.iter().flat_map(|batch| &batch.samples);
    assert!(sampled.clone().is_sorted_by_key(|sample| sample.offset_ns));
    let of_service = sampled.clone().filter_map(|sample| match &sample.of {
        Subject::Process(of) => Some((of, &sample.counters)),
        _ => None,
    });
    assert!(
        of_service
            .clone()
            .all(|(of, counters)| of.start_ticks > 0 && counters.get(Counter::RssBytes).is_some_and(|bytes| bytes > 0))
    );
    let pids: BTreeSet<u32> = of_service.map(|(of, _)| of.pid).collect();
    let has = |is: fn(&Subject) -> bool| sampled.clone().any(|sample| is(&sample.of));
    assert!(has(|of| matches!(of, Subject::Host(_))) && has(|of| matches!(of, Subject::Runner(_))));
    let kept = std::fs::read_dir(lab.state().join("samples")).unwrap().count();
    assert_eq!(kept, 1, "the runner keeps a copy");
    let web = &summary.services[0];
    assert_eq!(pids, web.pids.iter().copied().collect());
    assert!(web.rss_max_bytes >= web.rss_mean_bytes && web.rss_mean_bytes > 0);
    assert_eq!(summary.teardown.leftovers, [""; 0]);
    assert!(pids.iter().all(|&pid| !is_alive(pid)));
    assert_eq!(journaled(&lab), 0);

    // The next attempt starts immediately.
    let (next, _) = controller.ready(&native()).await;
    controller.stop(next).await;
    assert_eq!(controller.words(1).await, ["SUMMARY"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_command_is_performed_once_and_answered_twice() {
    let lab = Lab::new().await;
    let (runner, mut controller) = lab.serving().await;
    let (attempt, run) = (AttemptId::fresh(), fake(3000, None));
    for _ in 0..3 {
        controller.run(attempt, &run).await;
    }
    // Those that arrive after it was accepted are answered.
    let mut word = controller.words(1).await[0];
    for _ in 0..3 {
        if word == "ACCEPTED" {
            word = controller.words(1).await[0];
        }
    }
    assert_eq!(word, "READY");
    controller.run(attempt, &run).await;
    assert_eq!(controller.words(2).await, ["ACCEPTED", "READY"]);
    controller.stop(attempt).await;
    controller.stop(attempt).await;
    assert_eq!(controller.words(1).await, ["SUMMARY"]);
    controller.run(attempt, &run).await;
    let again = controller.words(3).await;
    // The second STOP is answered as well if it arrives after the end.
    assert!(
        again == ["ACCEPTED", "READY", "SUMMARY"] || again == ["SUMMARY", "ACCEPTED", "READY"],
        "{again:?}"
    );
    assert_eq!(
        runner.log().matches("nothing is left").count(),
        1,
        "there was one attempt"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_answered_before_ready_and_for_an_unknown_attempt() {
    let lab = Lab::new().await;
    let (_runner, mut controller) = lab.serving().await;
    let attempt = AttemptId::fresh();
    controller.run(attempt, &fake(3_600_000, None)).await;
    assert_eq!(controller.words(1).await, ["ACCEPTED"]);
    controller.stop(attempt).await;
    assert_eq!(controller.failed().await.0, Stage::Stopped);
    controller.stop(AttemptId::fresh()).await;
    assert_eq!(controller.failed().await.0, Stage::Unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_lease_ends_the_attempt() {
    let lab = Lab::new().await;
    let (_runner, mut controller) = lab.serving().await;
    let mut run = native();
    let lease = Duration::from_millis(1500);
    run.deadlines.lease_ms = 1500;
    let (attempt, ready) = controller.ready(&run).await;
    let begun = Instant::now();
    while begun.elapsed() < 2 * lease {
        controller.renew(attempt).await;
        tokio::time::sleep(lease / 30).await;
    }
    // It still runs, although twice the lease has passed.
    TcpStream::connect(ready.endpoints[0].address).unwrap();
    assert_eq!(controller.failed().await.0, Stage::Lease);
    TcpStream::connect(ready.endpoints[0].address).unwrap_err();
    controller.renew(attempt).await;
    assert_eq!(
        controller.failed().await.0,
        Stage::Lease,
        "RENEW is answered by how it ended"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_controller_is_refused_and_a_higher_epoch_takes_over() {
    let lab = Lab::new().await;
    let (_runner, mut controller) = lab.serving().await;
    let (attempt, _) = controller.ready(&fake(0, None)).await;
    let reason = |event: Event| match event {
        Event::Refused(refused) => refused.reason,
        other => panic!("not REFUSED: {other:?}"),
    };
    let mut other = lab.controller("day", 99).await;
    other.run(AttemptId::fresh(), &fake(0, None)).await;
    assert_eq!(reason(other.answer().await), RefusedReason::Held);
    controller.run(AttemptId::fresh(), &fake(0, None)).await;
    assert_eq!(reason(controller.answer().await), RefusedReason::Busy);

    let mut newer = lab.controller("night", 2).await;
    let (next, _) = newer.ready(&fake(0, None)).await;
    assert_eq!(
        controller.failed().await.0,
        Stage::Lease,
        "the lower epoch is told the end"
    );
    controller.stop(attempt).await;
    assert_eq!(reason(controller.answer().await), RefusedReason::Stale);
    newer.stop(next).await;
    assert_eq!(newer.words(1).await, ["SUMMARY"]);
}
