use std::collections::BTreeMap;

use proptest::prelude::*;
use protocol::command::{Edge, Ping, Renew, Stop, StopReason};
use protocol::event::Stage;
use protocol::{Epoch, Name};
use uuid::Uuid;

use super::*;
use crate::testing::{accepted, failed, name, ready, run, summary};

const LEASE_S: u64 = 10;

fn attempt(number: u128) -> AttemptId {
    AttemptId(Uuid::from_u128(number))
}

fn command(controller: &str, epoch: u64, number: Option<u128>, body: Command) -> Envelope<Command> {
    Envelope::new(name("lab"), number.map(attempt), name(controller), Epoch(epoch), body)
}

fn run_command(controller: &str, epoch: u64, number: u128) -> Envelope<Command> {
    command(controller, epoch, Some(number), Command::Run(Box::new(run(LEASE_S))))
}

fn stop(controller: &str, epoch: u64, number: u128) -> Envelope<Command> {
    let reason = StopReason::Finished;
    command(controller, epoch, Some(number), Command::Stop(Stop { reason }))
}

/// The effects, abbreviated.
fn words(effects: &[Effect]) -> Vec<String> {
    let word = |(_, action): &Effect| match action {
        Action::Publish(Event::Refused(refused)) => format!("REFUSED {:?}", refused.reason),
        Action::Publish(Event::Failed(failed)) => format!("FAILED {:?}", failed.stage),
        Action::Publish(event) => event.as_str().to_owned(),
        Action::Pong => "PONG".to_owned(),
        Action::Describe(_) => "FACTS".to_owned(),
        Action::Start(_) => "start".to_owned(),
        Action::Edge => "edge".to_owned(),
        Action::End(reason) => format!("end {reason:?}"),
    };
    effects.iter().map(word).collect()
}

/// A table with attempt 1 of controller a, READY.
fn ready_table(now: Instant) -> Table {
    let mut table = Table::default();
    assert_eq!(words(&table.on_command(run_command("a", 1, 1), now)), ["start"]);
    for event in [accepted(), Event::Ready(ready())] {
        table.on_event(attempt(1), event).unwrap();
    }
    table
}

fn finish(table: &mut Table, number: u128, event: Event) -> Vec<Effect> {
    table.on_event(attempt(number), event).unwrap()
}

#[test]
fn events_answer_the_latest_command() {
    let now = Instant::now();
    let mut table = ready_table(now);
    let stop = stop("a", 1, 1);
    table.on_command(stop.clone(), now);
    let effects = finish(&mut table, 1, summary());
    let [(reply, Action::Publish(_))] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(*reply, Reply::to(&stop));
}

#[test]
fn a_second_controller_is_refused_but_may_ping() {
    let now = Instant::now();
    let mut table = ready_table(now);
    assert_eq!(words(&table.on_command(run_command("b", 9, 2), now)), ["REFUSED Held"]);
    assert_eq!(words(&table.on_command(stop("b", 9, 1), now)), ["REFUSED Held"]);
    let renew = command("b", 9, Some(1), Command::Renew(Renew {}));
    assert_eq!(words(&table.on_command(renew, now)), [""; 0]);
    assert_eq!(
        words(&table.on_command(command("b", 9, None, Command::Ping(Ping {})), now)),
        ["PONG"]
    );
    assert!(table.is_busy());
}

#[test]
fn a_second_attempt_is_busy_until_the_first_is_ended() {
    let now = Instant::now();
    let mut table = ready_table(now);
    assert_eq!(words(&table.on_command(run_command("a", 1, 2), now)), ["REFUSED Busy"]);
    table.on_command(stop("a", 1, 1), now);
    assert_eq!(words(&table.on_command(run_command("a", 1, 2), now)), ["start"]);
}

#[test]
fn a_higher_epoch_ends_the_attempts_of_the_lower_one() {
    let now = Instant::now();
    let mut table = ready_table(now);
    let ping = command("a", 2, None, Command::Ping(Ping {}));
    assert_eq!(words(&table.on_command(ping, now)), ["end Superseded", "PONG"]);
    assert_eq!(words(&table.on_command(stop("a", 1, 1), now)), ["REFUSED Stale"]);
    assert_eq!(words(&table.on_command(run_command("a", 2, 2), now)), ["start"]);
}

#[test]
fn the_lease_of_a_silent_controller_expires() {
    let now = Instant::now();
    let mut table = ready_table(now);
    let lease = Duration::from_secs(LEASE_S);
    let renew = || command("a", 1, Some(1), Command::Renew(Renew {}));
    assert_eq!(words(&table.on_command(renew(), now + lease / 2)), [""; 0]);
    assert_eq!(table.deadline(), Some(now + lease * 3 / 2));
    assert_eq!(words(&table.expire_lease(now + lease)), [""; 0]);
    assert_eq!(words(&table.expire_lease(now + lease * 3 / 2)), ["end LeaseExpired"]);
    assert_eq!(table.deadline(), None);
    let effects = finish(&mut table, 1, failed(Stage::Lease));
    assert_eq!(words(&effects), ["FAILED Lease"]);
    // It comes back, asks, and is told how the attempt ended; another controller may use the runner.
    assert_eq!(words(&table.on_command(renew(), now + lease * 2)), ["FAILED Lease"]);
    assert_eq!(
        words(&table.on_command(run_command("b", 1, 2), now + lease * 2)),
        ["start"]
    );
}

#[test]
fn edges_are_only_for_a_ready_attempt() {
    let now = Instant::now();
    let edge = |controller, number| command(controller, 1, number, Command::Edge(Edge {}));
    let mut table = Table::default();
    table.on_command(run_command("a", 1, 1), now);
    assert_eq!(table.on_command(edge("a", Some(1)), now), []);
    let mut table = ready_table(now);
    let effects = table.on_command(edge("a", Some(1)), now);
    assert_eq!(words(&effects), ["edge"]);
    assert_eq!(effects[0].0.attempt, Some(attempt(1)));
    assert_eq!(table.on_command(edge("a", Some(2)), now), []);
    assert_eq!(table.on_command(edge("a", None), now), []);
    assert_eq!(table.on_command(edge("b", Some(1)), now), [], "of another controller");
    table.on_command(stop("a", 1, 1), now);
    assert_eq!(table.on_command(edge("a", Some(1)), now), []);
}

#[test]
fn an_invalid_run_is_refused() {
    let now = Instant::now();
    let mut table = Table::default();
    let nameless = command("a", 1, None, Command::Run(Box::new(run(LEASE_S))));
    assert_eq!(words(&table.on_command(nameless, now)), ["REFUSED Invalid"]);
    let mut empty = run(LEASE_S);
    empty.services.clear();
    let empty = command("a", 1, Some(1), Command::Run(Box::new(empty)));
    assert_eq!(words(&table.on_command(empty, now)), ["REFUSED Invalid"]);
    assert_eq!(table.deadline(), None, "a refused RUN takes no lease");
    let nameless = command(
        "a",
        1,
        None,
        Command::Stop(Stop {
            reason: StopReason::Finished,
        }),
    );
    assert_eq!(words(&table.on_command(nameless, now)), ["REFUSED Invalid"]);
}

#[test]
fn a_stop_of_an_unknown_attempt_is_answered_and_its_run_is_too_late() {
    let now = Instant::now();
    let mut table = Table::default();
    for command in [stop("a", 1, 1), run_command("a", 1, 1)] {
        assert_eq!(words(&table.on_command(command, now)), ["FAILED Unknown"]);
    }
    assert!(!table.is_busy());
}

#[test]
fn attempts_of_a_crashed_instance_are_answered_and_never_started_again() {
    let now = Instant::now();
    let mut table = Table::default();
    let reply = Reply::to(&run_command("a", 1, 7));
    table.remember(attempt(7), reply, crate::state::unknown("killed"));
    assert_eq!(
        words(&table.on_command(run_command("a", 1, 7), now)),
        ["FAILED Unknown"]
    );
    assert_eq!(words(&table.on_command(stop("a", 1, 7), now)), ["FAILED Unknown"]);
    assert!(!table.is_busy());
}

#[test]
fn the_last_64_results_are_remembered() {
    let now = Instant::now();
    let mut table = Table::default();
    for number in 1..=100 {
        assert_eq!(words(&table.on_command(run_command("a", 1, number), now)), ["start"]);
        table.on_event(attempt(number), accepted()).unwrap();
        finish(&mut table, number, failed(Stage::Start));
    }
    assert_eq!(table.attempts.len(), REMEMBERED);
    let again = table.on_command(run_command("a", 1, 37), now);
    assert_eq!(words(&again), ["ACCEPTED", "FAILED Start"]);
    assert!(table.on_event(attempt(1), accepted()).is_err());
}

#[derive(Clone, Debug)]
enum Step {
    Command(Box<Envelope<Command>>),
    Wait(u64),
    Executor(u128),
}

fn step() -> impl Strategy<Value = Step> {
    let who = prop_oneof![Just(("a", 1u64)), Just(("a", 2)), Just(("b", 1))];
    let command = (who, 1u128..5, 0..6u8).prop_map(|((controller, epoch), number, kind)| match kind {
        0 | 1 => run_command(controller, epoch, number),
        2 => stop(controller, epoch, number),
        3 => command(controller, epoch, Some(number), Command::Renew(Renew {})),
        4 => command(controller, epoch, Some(number), Command::Edge(Edge {})),
        _ => command(controller, epoch, None, Command::Ping(Ping {})),
    });
    prop_oneof![
        4 => command.prop_map(|command| Step::Command(Box::new(command))),
        1 => (0..8u64).prop_map(Step::Wait),
        4 => (1u128..5).prop_map(Step::Executor),
    ]
}

/// The progress of each executor: its steps, and whether it was told to end.
type Executors = BTreeMap<u128, (u32, bool)>;

/// The executor's next step.
fn next(executors: &mut Executors, number: u128) -> Option<Event> {
    let (done, told) = executors.get_mut(&number)?;
    *done += 1;
    match (*done, *told) {
        (1, false) => Some(accepted()),
        (2, false) => Some(Event::Ready(ready())),
        (3, true) => {
            executors.remove(&number);
            Some(summary())
        }
        (_, true) => {
            executors.remove(&number);
            Some(failed(Stage::Stopped))
        }
        _ => {
            *done = 2;
            None
        }
    }
}

fn record(effects: &[Effect], executors: &mut Executors, started: &mut Vec<AttemptId>) {
    for (reply, action) in effects {
        match action {
            Action::Start(_) => {
                let id = reply.attempt.unwrap();
                assert!(!started.contains(&id), "an attempt is started once");
                started.push(id);
                executors.insert(id.0.as_u128(), (0, false));
            }
            Action::End(_) => {
                let id = reply.attempt.unwrap();
                executors.get_mut(&id.0.as_u128()).expect("it runs").1 = true;
            }
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn two_controllers_and_a_stale_one_in_any_order(steps in proptest::collection::vec(step(), 0..80)) {
        let (mut table, mut now) = (Table::default(), Instant::now());
        let (mut executors, mut started) = (Executors::new(), Vec::new());
        let mut holder: Option<Name> = None;
        for step in steps {
            let effects = match step {
                Step::Command(command) => {
                    let is_answerable = !matches!(command.body, Command::Renew(_) | Command::Edge(_));
                    let sender = command.controller.clone();
                    let effects = table.on_command(*command, now);
                    let is_refused = words(&effects).iter().any(|word| word.starts_with("REFUSED"));
                    if effects.iter().any(|(_, action)| matches!(action, Action::Start(_))) {
                        holder = Some(sender);
                    } else if table.deadline().is_some() && holder.as_ref() != Some(&sender) && is_answerable {
                        let is_pong = matches!(&effects[..], [(_, Action::Pong)]);
                        prop_assert!(is_refused || is_pong, "a controller without the lease changes nothing: {:?}", effects);
                    }
                    effects
                }
                Step::Wait(seconds) => {
                    now += Duration::from_secs(seconds);
                    table.expire_lease(now)
                }
                Step::Executor(number) => match next(&mut executors, number) {
                    Some(event) => table.on_event(attempt(number), event).expect("a correct executor"),
                    None => Vec::new(),
                },
            };
            record(&effects, &mut executors, &mut started);
            let wanted = table.attempts.iter().filter(|entry| entry.state.is_wanted()).count();
            prop_assert!(wanted <= 1);
            prop_assert!(wanted == 0 || table.deadline().is_some(), "an attempt that runs has a lease");
        }
        // Silence ends everything.
        record(&table.expire_lease(now + Duration::from_secs(LEASE_S)), &mut executors, &mut started);
        for _ in 0..3 {
            for number in 1..5 {
                if let Some(event) = next(&mut executors, number) {
                    table.on_event(attempt(number), event).expect("a correct executor");
                }
            }
        }
        prop_assert!(executors.is_empty() && !table.is_busy());
    }
}
