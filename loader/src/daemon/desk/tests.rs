use proptest::prelude::*;
use protocol::command::{Describe, Ping, Renew, Stop, StopReason, TrialRef};
use protocol::load::{EchoSpec, LoadKind, LoadSpec, MaxLoad, PartSpec, Start, TargetSpec, Timing, Wait};
use protocol::{Epoch, Name};
use uuid::Uuid;

use super::*;

const LEASE_MS: u64 = 5000;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn attempt(number: u128) -> AttemptId {
    AttemptId(Uuid::from_u128(number))
}

fn said(controller: &str, epoch: u64, number: u128, body: Command) -> Envelope<Command> {
    Envelope::new(name("l"), Some(attempt(number)), name(controller), Epoch(epoch), body)
}

fn prepare(index: u32) -> Command {
    let timing = Timing {
        warm_up: Duration::ZERO,
        duration: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
    };
    Command::Prepare(Box::new(Prepare {
        trial: TrialRef {
            experiment: name("e"),
            cell: "a.b.c".into(),
            block: 1,
            attempt: 1,
        },
        load: LoadSpec {
            kind: LoadKind::Max(MaxLoad {
                connections: 1,
                timing,
                keep_alive: true,
                cpus: vec![],
            }),
            wait: Wait::Sleep,
        },
        part: PartSpec { index, of: 2 },
        target: TargetSpec::Echo(EchoSpec {}),
        address: "127.0.0.1:1".parse().unwrap(),
        seed: 1,
        lease_ms: LEASE_MS,
    }))
}

fn start() -> Command {
    Command::Start(Start { clock_ns: 7 })
}

fn stop() -> Command {
    Command::Stop(Stop {
        reason: StopReason::Cancelled,
    })
}

fn words(effects: &[Effect]) -> Vec<String> {
    let word = |effect: &Effect| match effect {
        Effect::Say(_, event) => match event.as_ref() {
            Event::Failed(failed) => format!("FAILED {}", failed.stage.word()),
            Event::Refused(refused) => format!("REFUSED {:?}", refused.reason),
            event => event.word().to_owned(),
        },
        Effect::Pong(_) => "PONG".to_owned(),
        Effect::Describe(_) => "facts".to_owned(),
        Effect::Prepare(..) => "prepare".to_owned(),
        Effect::Start(ns) => format!("start {ns}"),
        Effect::End => "end".to_owned(),
    };
    effects.iter().map(word).collect()
}

#[test]
fn a_load_from_prepare_to_its_last_word() {
    let (mut desk, now) = (Desk::default(), Instant::now());
    assert_eq!(words(&desk.command(said("a", 1, 1, prepare(0)), now)), ["prepare"]);
    assert_eq!(
        words(&desk.command(said("a", 1, 1, prepare(0)), now)),
        [""; 0],
        "not ready yet"
    );
    assert_eq!(words(&desk.report(attempt(1), Report::Ready)), ["PREPARED"]);
    assert_eq!(
        words(&desk.command(said("a", 1, 1, prepare(0)), now)),
        ["PREPARED"],
        "asked again"
    );
    assert_eq!(words(&desk.command(said("a", 1, 1, start()), now)), ["start 7"]);
    assert_eq!(words(&desk.command(said("a", 1, 1, start()), now)), [""; 0], "once");
    assert_eq!(
        words(&desk.report(attempt(1), Report::Progress(Progress::default()))),
        ["PROGRESS"]
    );
    assert_eq!(
        words(&desk.report(attempt(1), Report::Broken("x".into()))),
        ["FAILED load"]
    );
    assert_eq!(
        words(&desk.command(said("a", 1, 1, stop()), now)),
        ["FAILED load"],
        "its last word again"
    );
    assert_eq!(words(&desk.report(attempt(1), Report::Ready)), [""; 0]);
    assert_eq!(
        words(&desk.command(said("a", 1, 2, prepare(1)), now)),
        ["prepare"],
        "the next"
    );
}

#[test]
fn one_load_at_a_time_of_one_controller() {
    let (mut desk, now) = (Desk::default(), Instant::now());
    desk.command(said("a", 1, 1, prepare(0)), now);
    assert_eq!(words(&desk.command(said("a", 1, 2, prepare(0)), now)), ["REFUSED Busy"]);
    assert_eq!(words(&desk.command(said("b", 1, 3, prepare(0)), now)), ["REFUSED Held"]);
    let ping = Command::Ping(Ping {});
    assert_eq!(words(&desk.command(said("b", 1, 3, ping), now)), ["PONG"]);
    assert_eq!(
        words(&desk.command(said("a", 1, 1, stop()), now)),
        ["end", "FAILED stopped"]
    );
    assert_eq!(words(&desk.command(said("a", 1, 2, prepare(0)), now)), ["prepare"]);
    let describe = Command::Describe(Describe { platforms: vec![] });
    assert_eq!(
        words(&desk.command(said("a", 2, 9, describe), now)),
        ["end", "FAILED stopped", "facts"],
        "a newer life of it takes over"
    );
}

#[test]
fn a_silent_controller_loses_its_load_and_an_unknown_attempt_is_said_to_be() {
    let (mut desk, now) = (Desk::default(), Instant::now());
    desk.command(said("a", 1, 1, prepare(0)), now);
    let later = now + Duration::from_millis(LEASE_MS);
    assert_eq!(desk.deadline(), Some(later));
    assert_eq!(words(&desk.lease_over(later)), ["end", "FAILED lease"]);
    for command in [start(), stop(), Command::Renew(Renew {})] {
        assert_eq!(
            words(&desk.command(said("a", 1, 7, command), later)),
            ["FAILED unknown"]
        );
    }
    let mut fresh = Desk::default();
    assert_eq!(words(&fresh.command(said("a", 1, 7, stop()), now)), ["FAILED unknown"]);
}

#[test]
fn a_part_that_is_none_is_refused() {
    let (mut desk, now) = (Desk::default(), Instant::now());
    assert_eq!(
        words(&desk.command(said("a", 1, 1, prepare(2)), now)),
        ["REFUSED Invalid"]
    );
    let Command::Prepare(mut endless) = prepare(0) else {
        panic!("no PREPARE")
    };
    endless.lease_ms = u64::MAX;
    let effects = desk.command(said("a", 1, 1, Command::Prepare(endless)), now);
    assert_eq!(words(&effects), ["REFUSED Invalid"]);
}

proptest! {
    /// Whatever comes, no load is prepared while another is alive, and none begins or ends that was not prepared.
    #[test]
    fn at_most_one_load_is_alive(steps in prop::collection::vec((0_u8..8, 1_u128..4, 0_u64..3000), 0..80)) {
        let (mut desk, mut now, mut alive) = (Desk::default(), Instant::now(), false);
        for (what, number, pass) in steps {
            now += Duration::from_millis(pass);
            let effects = match what {
                0 | 1 => desk.command(said("a", 1, number, prepare(0)), now),
                2 => desk.command(said("a", 1, number, start()), now),
                3 => desk.command(said("a", 1, number, stop()), now),
                4 => desk.command(said("b", 1, number, prepare(1)), now),
                5 => desk.report(attempt(number), Report::Ready),
                6 => desk.report(attempt(number), Report::Broken("x".into())),
                _ => desk.lease_over(now),
            };
            for effect in effects {
                match effect {
                    Effect::Prepare(..) => {
                        prop_assert!(!alive);
                        alive = true;
                    }
                    Effect::Start(_) => prop_assert!(alive),
                    Effect::End => {
                        prop_assert!(alive);
                        alive = false;
                    }
                    Effect::Say(_, event) => {
                        if matches!(event.as_ref(), Event::Failed(failed) if failed.stage == Stage::Load) && what == 6 {
                            alive = false;
                        }
                    }
                    Effect::Pong(_) | Effect::Describe(_) => {}
                }
            }
        }
    }
}
