use proptest::prelude::*;

use super::*;
use crate::testing::{accepted, failed, ready, summary};

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
    told_to_end: u32,
    done: u32,
    finished: u32,
}

impl Executor {
    fn next(&mut self, fails: bool) -> Option<Input> {
        if self.finished > 0 {
            return None;
        }
        if fails || self.told_to_end > 0 && self.done < 2 {
            self.finished += 1;
            return Some(Input::Event(failed(Stage::Start)));
        }
        self.done += 1;
        match self.done {
            1 => Some(Input::Event(accepted())),
            2 => Some(Input::Event(Event::Ready(ready()))),
            _ if self.told_to_end > 0 => {
                self.finished += 1;
                Some(Input::Event(summary()))
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
                Step::Run => Some(Input::Run),
                Step::Stop => Some(Input::Stop(StopReason::Finished)),
                Step::Renew => Some(Input::Renew),
                Step::End(why) => Some(Input::End(why)),
                Step::ExecutorSteps => executor.next(false),
                Step::ExecutorFails => executor.next(true),
            };
            let Some(input) = input else { continue };
            let before = state.published.clone();
            let (next, actions) = state.on(input.clone()).expect("commands and a correct executor are legal");
            // A repeated RUN is answered by all events so far.
            if matches!(input, Input::Run) {
                let expected: Vec<Action> = before.iter().cloned().map(Action::Publish).collect();
                prop_assert_eq!(&actions, &expected);
            }
            for action in &actions {
                match action {
                    Action::End(_) => executor.told_to_end += 1,
                    Action::Publish(event) => prop_assert!(next.published.contains(event)),
                    other => prop_assert!(false, "not about the state: {:?}", other),
                }
            }
            // Events are only added.
            prop_assert_eq!(&next.published[..before.len()], &before[..]);
            state = next;
        }
        prop_assert!(executor.told_to_end <= 1);
        prop_assert_eq!(state.phase(), Phase::Done, "after STOP and the executor's end: {:?}", state);
        prop_assert_eq!(state.published.iter().filter(|event| is_final(event)).count(), 1);
        prop_assert!(state.published.last().is_some_and(is_final));
        prop_assert_eq!(executor.finished, 1);
    }
}

fn after(inputs: impl IntoIterator<Item = Input>) -> (State, Vec<Action>) {
    let mut last = (State::default(), Vec::new());
    for input in inputs {
        last = last.0.on(input).unwrap();
    }
    last
}

#[test]
fn a_successful_attempt() {
    let stop = Input::Stop(StopReason::Finished);
    let events = [accepted(), Event::Ready(ready())].map(Input::Event);
    let (state, actions) = after(events.into_iter().chain([stop.clone()]));
    assert_eq!(actions, [Action::End(EndReason::Stop(StopReason::Finished))]);
    let (state, actions) = state.on(Input::Event(summary())).unwrap();
    assert_eq!(actions, [Action::Publish(summary())]);
    // A late RUN is answered by all events, a STOP by the last one.
    let words = |actions: &[Action]| -> Vec<&str> {
        let word = |action: &Action| match action {
            Action::Publish(event) => event.as_str(),
            _ => "?",
        };
        actions.iter().map(word).collect()
    };
    let (state, actions) = state.on(Input::Run).unwrap();
    assert_eq!(words(&actions), ["ACCEPTED", "READY", "SUMMARY"]);
    assert_eq!(words(&state.on(stop).unwrap().1), ["SUMMARY"]);
}

#[test]
fn a_ready_that_crosses_a_stop_is_published() {
    let ready = Event::Ready(ready());
    let (state, actions) = after([
        Input::Event(accepted()),
        Input::Stop(StopReason::Deadline),
        Input::Event(ready.clone()),
    ]);
    assert_eq!(state.phase(), Phase::Stopping);
    assert_eq!(actions, [Action::Publish(ready)]);
}

#[test]
fn a_faulty_executor_is_detected() {
    for (before, bad) in [
        (vec![], Event::Ready(ready())),
        (vec![accepted()], accepted()),
        (vec![accepted()], summary()),
        (vec![failed(Stage::Start)], failed(Stage::Start)),
        (vec![failed(Stage::Start)], accepted()),
    ] {
        let (state, _) = after(before.into_iter().map(Input::Event));
        let error = state.on(Input::Event(bad.clone())).unwrap_err();
        assert!(error.to_string().starts_with(bad.as_str()), "{error}");
    }
}
