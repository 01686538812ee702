//! Failures of the platform, of a service and of the runner itself.

use protocol::event::{RefusedReason, Stage};
use protocol::sample::Subject;
use protocol::spec::FakeFailure;
use protocol::{AttemptId, Event};

use crate::lab::{Lab, fake, is_alive, journaled, native, port_of, script_of, until};

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_has_its_stage() {
    let lab = Lab::new().await;
    let (_runner, mut controller) = lab.serving().await;

    controller
        .run(AttemptId::fresh(), &fake(0, Some(FakeFailure::Probe)))
        .await;
    let Event::Refused(refused) = controller.answer().await else {
        panic!("not REFUSED")
    };
    assert_eq!(refused.reason, RefusedReason::Unmet);
    assert!(refused.why.contains("remove the key"), "has a remedy: {}", refused.why);

    for (failure, stage) in [
        (FakeFailure::Prepare, Stage::Prepare),
        (FakeFailure::Start, Stage::Start),
    ] {
        controller.run(AttemptId::fresh(), &fake(0, Some(failure))).await;
        assert_eq!(controller.words(1).await, ["ACCEPTED"]);
        assert_eq!(controller.failed().await.0, stage);
    }
    let mut mute = fake(0, Some(FakeFailure::Ready));
    mute.deadlines.ready_ms = 500;
    controller.run(AttemptId::fresh(), &mute).await;
    assert_eq!(controller.words(1).await, ["ACCEPTED"]);
    let (stage, why) = controller.failed().await;
    assert_eq!(stage, Stage::Ready);
    assert!(why.contains("web"), "{why}");

    controller.ready(&fake(0, Some(FakeFailure::Exit))).await;
    assert_eq!(controller.failed().await.0, Stage::Running);

    let mut slow = fake(3_600_000, None);
    slow.deadlines.ready_ms = 200;
    controller.run(AttemptId::fresh(), &slow).await;
    assert_eq!(controller.words(1).await, ["ACCEPTED"]);
    let (stage, why) = controller.failed().await;
    assert!(stage == Stage::Start && why.contains("200 ms"), "{stage:?} {why}");
    assert_eq!(journaled(&lab), 0, "none of them left anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_are_reported_and_stay_in_the_journal() {
    let lab = Lab::new().await;
    let (_runner, mut controller) = lab.serving().await;
    let (attempt, _) = controller.ready(&fake(0, Some(FakeFailure::Teardown))).await;
    controller.stop(attempt).await;
    let Event::Summary(summary) = controller.answer().await else {
        panic!("not SUMMARY")
    };
    assert!(!summary.teardown.leftovers.is_empty());
    assert_eq!(journaled(&lab), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_failure_of_a_service_has_its_last_output() {
    let lab = Lab::new().await;
    let (_runner, mut controller) = lab.serving().await;
    let mut run = native();
    *script_of(&mut run) = "echo cannot find my config; exit 3".to_owned();
    controller.run(AttemptId::fresh(), &run).await;
    assert_eq!(controller.words(1).await, ["ACCEPTED"]);
    let Event::Failed(failed) = controller.answer().await else {
        panic!("not FAILED")
    };
    assert_eq!(failed.stage, Stage::Ready);
    assert!(failed.why.contains("exit code 3"), "{}", failed.why);
    assert_eq!(failed.logs[0].text, "cannot find my config\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_reported() {
    let lab = Lab::new().await;
    let (_runner, mut controller) = lab.serving().await;
    let run = native();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port_of(&run))).unwrap();
    controller.run(AttemptId::fresh(), &run).await;
    assert_eq!(controller.words(1).await, ["ACCEPTED"]);
    let (stage, why) = controller.failed().await;
    assert_eq!(stage, Stage::Start);
    assert!(why.contains("is in use"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_was_killed_cleans_up_when_it_restarts() {
    let lab = Lab::new().await;
    let (runner, mut controller) = lab.serving().await;
    let run = native();
    let (attempt, _) = controller.ready(&run).await;
    let pid = sampled_pid(&mut controller).await;
    runner.kill();

    let runner = lab.runner();
    runner.wait_until_serving(2).await;
    assert!(!is_alive(pid), "removed before it serves");
    controller.renew(attempt).await;
    let (stage, why) = controller.failed().await;
    assert!(stage == Stage::Unknown && why.contains("killed"), "{stage:?} {why}");
    controller.run(attempt, &run).await;
    assert_eq!(controller.failed().await.0, Stage::Unknown, "it is never started again");
    controller.stop(attempt).await;
    assert_eq!(controller.failed().await.0, Stage::Unknown);

    // The port is free again.
    let (next, _) = controller.ready(&run).await;
    controller.stop(next).await;
    assert_eq!(controller.words(1).await, ["SUMMARY"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_shuts_down_leaves_nothing() {
    let lab = Lab::new().await;
    let (runner, mut controller) = lab.serving().await;
    controller.ready(&native()).await;
    let pid = sampled_pid(&mut controller).await;
    assert_eq!(runner.terminate().await, Some(0));
    assert!(!is_alive(pid));
    let (stage, why) = controller.failed().await;
    assert!(stage == Stage::Running && why.contains("shut down"), "{stage:?} {why}");
    assert_eq!(journaled(&lab), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_runner_immediately() {
    let lab = Lab::new().await;
    let (mut runner, mut controller) = lab.serving().await;
    let mut run = native();
    // The service ignores SIGTERM.
    let script = script_of(&mut run);
    *script = script.replacen("my $l =", "$SIG{TERM} = q(IGNORE); my $l =", 1);
    run.deadlines.grace_ms = 600_000;
    controller.ready(&run).await;
    let pid = sampled_pid(&mut controller).await;
    let interrupt = |runner: &crate::lab::Runner| {
        let pid = nix::unistd::Pid::from_raw(runner.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    };
    interrupt(&runner);
    runner.wait_for_log("repeat to end immediately", 1).await;
    interrupt(&runner);
    assert_eq!(runner.exit_code().await, Some(130));
    until("the service's end", || !is_alive(pid)).await;
}

async fn sampled_pid(controller: &mut crate::lab::Controller) -> u32 {
    loop {
        if let Event::Samples(samples) = controller.next().await.body {
            let pid = samples.samples.iter().find_map(|sample| match &sample.of {
                Subject::Process(of) => Some(of.pid),
                _ => None,
            });
            if let Some(pid) = pid {
                return pid;
            }
        }
    }
}
