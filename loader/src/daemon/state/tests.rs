use proptest::prelude::*;
use protocol::command::{Describe, Ping, Renew, Stop, StopReason, TrialRef};
use protocol::load::{EchoSpec, HttpRequests, LoadKind, LoadSpec, MaxLoad, PartSpec, Start, TargetSpec, Timing, Wait};
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

fn command(controller: &str, epoch: u64, number: u128, body: Command) -> Envelope<Command> {
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
            keep_awake: true,
            http: HttpRequests::default(),
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

fn names(actions: &[Action]) -> Vec<String> {
    let describe = |action: &Action| match action {
        Action::Send(_, event) => match event.as_ref() {
            Event::Failed(failed) => format!("FAILED {}", failed.stage.as_str()),
            Event::Refused(refused) => format!("REFUSED {:?}", refused.reason),
            event => event.as_str().to_owned(),
        },
        Action::Pong(_) => "PONG".to_owned(),
        Action::Describe(_) => "facts".to_owned(),
        Action::Prepare(..) => "prepare".to_owned(),
        Action::Start(ns) => format!("start {ns}"),
        Action::Cancel => "cancel".to_owned(),
    };
    actions.iter().map(describe).collect()
}

#[test]
fn a_load_from_prepare_to_its_last_event() {
    let (mut state, now) = (LoaderState::default(), Instant::now());
    assert_eq!(
        names(&state.on_command(command("a", 1, 1, prepare(0)), now)),
        ["prepare"]
    );
    assert_eq!(
        names(&state.on_command(command("a", 1, 1, prepare(0)), now)),
        [""; 0],
        "not ready yet"
    );
    assert_eq!(names(&state.on_report(attempt(1), Report::Ready)), ["PREPARED"]);
    assert_eq!(
        names(&state.on_command(command("a", 1, 1, prepare(0)), now)),
        ["PREPARED"],
        "repeated"
    );
    assert_eq!(names(&state.on_command(command("a", 1, 1, start()), now)), ["start 7"]);
    assert_eq!(
        names(&state.on_command(command("a", 1, 1, start()), now)),
        [""; 0],
        "once"
    );
    assert_eq!(
        names(&state.on_report(attempt(1), Report::Progress(Progress::default()))),
        ["PROGRESS"]
    );
    assert_eq!(
        names(&state.on_report(attempt(1), Report::Failed("x".into()))),
        ["FAILED load"]
    );
    assert_eq!(
        names(&state.on_command(command("a", 1, 1, stop()), now)),
        ["FAILED load"],
        "the last event again"
    );
    assert_eq!(names(&state.on_report(attempt(1), Report::Ready)), [""; 0]);
    assert_eq!(
        names(&state.on_command(command("a", 1, 2, prepare(1)), now)),
        ["prepare"],
        "the next"
    );
}

#[test]
fn one_load_at_a_time() {
    let (mut state, now) = (LoaderState::default(), Instant::now());
    state.on_command(command("a", 1, 1, prepare(0)), now);
    assert_eq!(
        names(&state.on_command(command("a", 1, 2, prepare(0)), now)),
        ["REFUSED Busy"]
    );
    assert_eq!(
        names(&state.on_command(command("b", 1, 3, prepare(0)), now)),
        ["REFUSED Held"]
    );
    let ping = Command::Ping(Ping {});
    assert_eq!(names(&state.on_command(command("b", 1, 3, ping), now)), ["PONG"]);
    assert_eq!(
        names(&state.on_command(command("a", 1, 1, stop()), now)),
        ["cancel", "FAILED stopped"]
    );
    assert_eq!(
        names(&state.on_command(command("a", 1, 2, prepare(0)), now)),
        ["prepare"]
    );
    let describe = Command::Describe(Describe {
        platforms: vec![],
        services: vec![],
    });
    assert_eq!(
        names(&state.on_command(command("a", 2, 9, describe), now)),
        ["cancel", "FAILED stopped", "facts"],
        "a restarted controller takes over"
    );
}

#[test]
fn an_expired_lease_ends_the_load_and_unknown_attempts_are_reported() {
    let (mut state, now) = (LoaderState::default(), Instant::now());
    state.on_command(command("a", 1, 1, prepare(0)), now);
    let later = now + Duration::from_millis(LEASE_MS);
    assert_eq!(state.deadline(), Some(later));
    assert_eq!(names(&state.expire_lease(later)), ["cancel", "FAILED lease"]);
    for body in [start(), stop(), Command::Renew(Renew {})] {
        assert_eq!(
            names(&state.on_command(command("a", 1, 7, body), later)),
            ["FAILED unknown"]
        );
    }
    let mut fresh = LoaderState::default();
    assert_eq!(
        names(&fresh.on_command(command("a", 1, 7, stop()), now)),
        ["FAILED unknown"]
    );
}

#[test]
fn invalid_parts_and_leases_are_refused() {
    let (mut state, now) = (LoaderState::default(), Instant::now());
    assert_eq!(
        names(&state.on_command(command("a", 1, 1, prepare(2)), now)),
        ["REFUSED Invalid"]
    );
    let Command::Prepare(mut excessive) = prepare(0) else {
        panic!("not a PREPARE")
    };
    excessive.lease_ms = u64::MAX;
    let actions = state.on_command(command("a", 1, 1, Command::Prepare(excessive)), now);
    assert_eq!(names(&actions), ["REFUSED Invalid"]);
}

proptest! {
    /// For any sequence of messages, no load is prepared while another is active, and only prepared loads start or are cancelled.
    #[test]
    fn at_most_one_load_is_active(steps in prop::collection::vec((0_u8..8, 1_u128..4, 0_u64..3000), 0..80)) {
        let (mut state, mut now, mut active) = (LoaderState::default(), Instant::now(), false);
        for (what, number, pass) in steps {
            now += Duration::from_millis(pass);
            let actions = match what {
                0 | 1 => state.on_command(command("a", 1, number, prepare(0)), now),
                2 => state.on_command(command("a", 1, number, start()), now),
                3 => state.on_command(command("a", 1, number, stop()), now),
                4 => state.on_command(command("b", 1, number, prepare(1)), now),
                5 => state.on_report(attempt(number), Report::Ready),
                6 => state.on_report(attempt(number), Report::Failed("x".into())),
                _ => state.expire_lease(now),
            };
            for action in actions {
                match action {
                    Action::Prepare(..) => {
                        prop_assert!(!active);
                        active = true;
                    }
                    Action::Start(_) => prop_assert!(active),
                    Action::Cancel => {
                        prop_assert!(active);
                        active = false;
                    }
                    Action::Send(_, event) => {
                        if matches!(event.as_ref(), Event::Failed(failed) if failed.stage == Stage::Load) && what == 6 {
                            active = false;
                        }
                    }
                    Action::Pong(_) | Action::Describe(_) => {}
                }
            }
        }
    }
}
