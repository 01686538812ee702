//! What is said when something breaks: the platform, a service, the runner itself.

use protocol::event::{RefusedReason, Stage};
use protocol::sample::Subject;
use protocol::spec::FakeFailure;
use protocol::{AttemptId, Event};

use crate::lab::{Lab, fake, is_alive, ledger, native, until};

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_fail_has_its_stage() {
    let lab = Lab::new().await;
    let (_runner, mut controller) = lab.serving().await;

    controller
        .run(AttemptId::fresh(), &fake(0, Some(FakeFailure::Probe)))
        .await;
    let Event::Refused(refused) = controller.answer().await else {
        panic!("not REFUSED")
    };
    assert_eq!(refused.reason, RefusedReason::Unmet);
    assert!(refused.why.contains("leave out"), "with the remedy: {}", refused.why);

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
    assert_eq!(ledger(&lab), 0, "none of them left anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_behind_is_told_and_stays_in_the_ledger() {
    let lab = Lab::new().await;
    let (_runner, mut controller) = lab.serving().await;
    let (attempt, _) = controller.ready(&fake(0, Some(FakeFailure::Teardown))).await;
    controller.stop(attempt).await;
    let Event::Summary(summary) = controller.answer().await else {
        panic!("not SUMMARY")
    };
    assert!(!summary.teardown.leftovers.is_empty());
    assert_eq!(ledger(&lab), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_dies_is_told_with_its_last_words() {
    let lab = Lab::new().await;
    let (_runner, mut controller) = lab.serving().await;
    let mut order = native();
    order.services[0].args[1] = "echo cannot find my config; exit 3".to_owned();
    controller.run(AttemptId::fresh(), &order).await;
    assert_eq!(controller.words(1).await, ["ACCEPTED"]);
    let Event::Failed(failed) = controller.answer().await else {
        panic!("not FAILED")
    };
    assert_eq!(failed.stage, Stage::Ready);
    assert!(failed.why.contains("exit code 3"), "{}", failed.why);
    assert_eq!(failed.logs[0].text, "cannot find my config\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_told() {
    let lab = Lab::new().await;
    let (_runner, mut controller) = lab.serving().await;
    let order = native();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", order.services[0].port.unwrap())).unwrap();
    controller.run(AttemptId::fresh(), &order).await;
    assert_eq!(controller.words(1).await, ["ACCEPTED"]);
    let (stage, why) = controller.failed().await;
    assert_eq!(stage, Stage::Start);
    assert!(why.contains("is in use"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_was_killed_comes_back_cleans_up_and_goes_on() {
    let lab = Lab::new().await;
    let (runner, mut controller) = lab.serving().await;
    let order = native();
    let (attempt, _) = controller.ready(&order).await;
    let pid = sampled_pid(&mut controller).await;
    runner.kill();

    let runner = lab.runner();
    runner.wait_until_serving(2).await;
    assert!(!is_alive(pid), "swept before anything else");
    controller.renew(attempt).await;
    let (stage, why) = controller.failed().await;
    assert!(stage == Stage::Unknown && why.contains("killed"), "{stage:?} {why}");
    controller.run(attempt, &order).await;
    assert_eq!(controller.failed().await.0, Stage::Unknown, "it is never begun again");
    controller.stop(attempt).await;
    assert_eq!(controller.failed().await.0, Stage::Unknown);

    // The same port is free again.
    let (next, _) = controller.ready(&order).await;
    controller.stop(next).await;
    assert_eq!(controller.words(1).await, ["SUMMARY"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_is_told_to_end_leaves_nothing() {
    let lab = Lab::new().await;
    let (runner, mut controller) = lab.serving().await;
    controller.ready(&native()).await;
    let pid = sampled_pid(&mut controller).await;
    assert_eq!(runner.terminate().await, Some(0));
    assert!(!is_alive(pid));
    let (stage, why) = controller.failed().await;
    assert!(
        stage == Stage::Running && why.contains("told to end"),
        "{stage:?} {why}"
    );
    assert_eq!(ledger(&lab), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    let lab = Lab::new().await;
    let (mut runner, mut controller) = lab.serving().await;
    let mut order = native();
    // It takes its time to end.
    order.services[0].args[1] = order.services[0].args[1].replacen("my $l =", "$SIG{TERM} = q(IGNORE); my $l =", 1);
    order.deadlines.grace_ms = 600_000;
    controller.ready(&order).await;
    let pid = sampled_pid(&mut controller).await;
    let interrupt = |runner: &crate::lab::Runner| {
        let pid = nix::unistd::Pid::from_raw(runner.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    };
    interrupt(&runner);
    runner.wait_for_log("once more ends at once", 1).await;
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
