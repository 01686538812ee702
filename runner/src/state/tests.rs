use proptest::prelude::*;

use super::*;
use crate::testing::{failed, ready, run, summary};

/// What may happen next. The executor's steps only happen where a correct executor takes them.
#[derive(Clone, Copy, Debug)]
enum Step {
    Run,
    Stop,
    Renew,
    End(EndReason),
    ExecutorSteps,
    ExecutorFails,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Run),
        1 => Just(Step::Stop),
        1 => Just(Step::Renew),
        1 => prop_oneof![Just(EndReason::LeaseExpired), Just(EndReason::Superseded), Just(EndReason::Shutdown)].prop_map(Step::End),
        4 => Just(Step::ExecutorSteps),
        1 => Just(Step::ExecutorFails),
    ]
}

/// A correct executor: accepts, becomes ready, ends when told, and finishes once.
#[derive(Default)]
struct Executor {
    started: u32,
    told_to_end: u32,
    done: u32,
    finished: u32,
}

impl Executor {
    fn next(&mut self, fails: bool) -> Option<Input> {
        if self.started == 0 || self.finished > 0 {
            return None;
        }
        if fails || self.told_to_end > 0 && self.done < 2 {
            self.finished += 1;
            return Some(Input::Finished(Box::new(failed(Stage::Start))));
        }
        self.done += 1;
        match self.done {
            1 => Some(Input::Accepted),
            2 => Some(Input::BecameReady(Box::new(ready()))),
            _ if self.told_to_end > 0 => {
                self.finished += 1;
                Some(Input::Finished(Box::new(summary())))
            }
            _ => {
                self.done = 2;
                None
            }
        }
    }
}

fn is_final(event: &Event) -> bool {
    matches!(event, Event::Summary(_) | Event::Failed(_) | Event::Refused(_))
}

proptest! {
    #[test]
    fn inputs_in_any_order(steps in proptest::collection::vec(step(), 0..40)) {
        let (mut state, mut executor) = (State::default(), Executor::default());
        let stop = [Step::Stop, Step::ExecutorSteps, Step::ExecutorSteps, Step::ExecutorSteps, Step::ExecutorSteps];
        for step in steps.into_iter().chain(stop) {
            let input = match step {
                Step::Run => Some(Input::Run(Box::new(run(1)))),
                Step::Stop => Some(Input::Stop(StopReason::Finished)),
                Step::Renew => Some(Input::Renew),
                Step::End(why) => state.is_alive().then_some(Input::End(why)),
                Step::ExecutorSteps => executor.next(false),
                Step::ExecutorFails => executor.next(true),
            };
            let Some(input) = input else { continue };
            let before = state.published().to_vec();
            let (next, actions) = state.on(input.clone()).expect("commands and a correct executor are legal");
            // A repeated RUN is answered by all events so far; it starts nothing.
            if matches!(input, Input::Run(_)) && !before.is_empty() {
                let expected: Vec<Action> = before.iter().cloned().map(Action::Publish).collect();
                prop_assert_eq!(&actions, &expected);
            }
            for action in &actions {
                match action {
                    Action::Start(_) => executor.started += 1,
                    Action::End(_) => executor.told_to_end += 1,
                    Action::Publish(event) => prop_assert!(next.published().contains(event)),
                    Action::Pong | Action::Describe(_) | Action::Edge => prop_assert!(false, "not about the state: {:?}", action),
                }
            }
            // Events are only added.
            prop_assert_eq!(&next.published()[..before.len()], &before[..]);
            state = next;
        }
        prop_assert!(executor.started <= 1 && executor.told_to_end <= 1);
        prop_assert!(matches!(state, State::Done(_)), "done after STOP and the executor's end: {:?}", state);
        let published = state.published();
        prop_assert_eq!(published.iter().filter(|event| is_final(event)).count(), 1);
        prop_assert!(published.last().is_some_and(is_final));
        if executor.started == 1 {
            prop_assert_eq!(executor.finished, 1);
        }
    }
}

fn after(inputs: Vec<Input>) -> (State, Vec<Action>) {
    let mut last = (State::default(), Vec::new());
    for input in inputs {
        last = last.0.on(input).unwrap();
    }
    last
}

fn run_input() -> Input {
    Input::Run(Box::new(run(1)))
}

#[test]
fn a_successful_attempt() {
    let stop = Input::Stop(StopReason::Finished);
    let (state, actions) = after(vec![
        run_input(),
        Input::Accepted,
        Input::BecameReady(Box::new(ready())),
        stop.clone(),
    ]);
    assert_eq!(actions, [Action::End(EndReason::Stop(StopReason::Finished))]);
    let (state, actions) = state.on(Input::Finished(Box::new(summary()))).unwrap();
    assert_eq!(actions, [Action::Publish(summary())]);
    // A late RUN is answered by all events, a STOP by the last one.
    let words = |actions: &[Action]| -> Vec<&str> {
        let word = |action: &Action| match action {
            Action::Publish(event) => event.as_str(),
            _ => "?",
        };
        actions.iter().map(word).collect()
    };
    let (state, actions) = state.on(run_input()).unwrap();
    assert_eq!(words(&actions), ["ACCEPTED", "READY", "SUMMARY"]);
    assert_eq!(words(&state.on(stop).unwrap().1), ["SUMMARY"]);
}

#[test]
fn a_stop_of_an_unknown_attempt_is_answered_and_its_run_is_too_late() {
    let (state, actions) = after(vec![Input::Stop(StopReason::Cancelled)]);
    let [Action::Publish(Event::Failed(failed))] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(failed.stage, Stage::Unknown);
    let (_, again) = state.on(run_input()).unwrap();
    assert_eq!(again, actions);
}

#[test]
fn a_ready_that_crosses_a_stop_is_published() {
    let stop = Input::Stop(StopReason::Deadline);
    let crossing = vec![
        run_input(),
        Input::Accepted,
        stop,
        Input::BecameReady(Box::new(ready())),
    ];
    let (state, actions) = after(crossing);
    assert!(matches!(state, State::Stopping(_)));
    assert_eq!(actions, [Action::Publish(Event::Ready(ready()))]);
}

#[test]
fn a_faulty_executor_is_detected() {
    let finished = |event| Input::Finished(Box::new(event));
    for (before, bad) in [
        (vec![], Input::Accepted),
        (vec![], Input::End(EndReason::Shutdown)),
        (vec![run_input()], Input::BecameReady(Box::new(ready()))),
        (vec![run_input(), Input::Accepted], Input::Accepted),
        (vec![run_input(), Input::Accepted], finished(summary())),
        (vec![run_input()], finished(Event::Ready(ready()))),
        (
            vec![run_input(), finished(failed(Stage::Start))],
            finished(failed(Stage::Start)),
        ),
    ] {
        let (state, _) = after(before);
        assert!(state.on(bad.clone()).is_err(), "{bad:?}");
    }
}
