//! Single transitions by example, everything else by random sequences.

use proptest::prelude::*;
use protocol::event::{RefusedReason, Stage};
use protocol::summary::{HostUsage, KernelLogSummary, Teardown};

use super::*;

fn ready() -> Ready {
    Ready {
        clock_ns: 1,
        endpoints: vec![],
        startup: vec![],
        prepare_ns: 0,
        seed_ns: None,
        idle: None,
        placement: vec![],
        deviations: vec![],
        emulation: None,
        services: vec![],
    }
}

fn summary() -> Summary {
    Summary {
        services: vec![],
        batches: 0,
        samples: 0,
        missed_ticks: 0,
        sampler_cpu_ns: 0,
        kernel_log: KernelLogSummary::default(),
        host: HostUsage::default(),
        notes: Vec::new(),
        teardown: Teardown::default(),
    }
}

fn failed() -> Failed {
    Failed {
        stage: Stage::Start,
        why: "no".into(),
        logs: vec![],
        teardown: Teardown::default(),
    }
}

fn refused() -> Refused {
    Refused {
        reason: RefusedReason::Busy,
        why: "busy".into(),
    }
}

/// Feeds inputs as the attempt driver does: an illegal input changes nothing.
fn feed(inputs: impl IntoIterator<Item = Input>) -> (State, Vec<Action>) {
    let mut state = State::Requested;
    let mut done = vec![];
    for input in inputs {
        if let Ok((next, actions)) = state.on(input) {
            state = next;
            done.extend(actions);
        }
    }
    (state, done)
}

#[test]
fn a_successful_attempt() {
    let (state, actions) = feed([
        Input::Accepted,
        Input::Ready(ready()),
        Input::LoadDone,
        Input::Summary(summary()),
    ]);
    assert_eq!(state, State::Ended(Box::new(End::Summary(Cause::LoadDone, summary()))));
    assert_eq!(
        actions,
        [
            Action::StartLoad(Box::new(ready())),
            Action::SendStop(StopReason::Finished)
        ]
    );
}

#[test]
fn a_lost_accepted_is_tolerated() {
    let (state, _) = feed([Input::Ready(ready())]);
    assert_eq!(state, State::Loading);
}

#[test]
fn a_service_failure_aborts_the_load() {
    let (state, actions) = feed([Input::Accepted, Input::Ready(ready()), Input::Failed(failed())]);
    assert_eq!(state, State::Ended(Box::new(End::Failed(failed()))));
    assert_eq!(actions.last(), Some(&Action::AbortLoad));
}

#[test]
fn a_deadline_stops_the_attempt() {
    let (state, actions) = feed([Input::Deadline]);
    assert_eq!(state, State::Stopping(Cause::Deadline(Phase::Answer)));
    assert_eq!(actions, [Action::SendStop(StopReason::Deadline)]);
    let (state, _) = feed([Input::Deadline, Input::Deadline]);
    assert_eq!(state, State::Ended(Box::new(End::NoAnswer(Phase::Stop))));
}

#[test]
fn a_summary_without_a_stop_is_illegal() {
    assert_eq!(
        State::Loading.on(Input::Summary(summary())).unwrap_err().to_string(),
        "unexpected SUMMARY in state loading"
    );
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        Just(Input::Accepted),
        Just(Input::Refused(refused())),
        Just(Input::Ready(ready())),
        Just(Input::Summary(summary())),
        Just(Input::Failed(failed())),
        Just(Input::LoadDone),
        Just(Input::LoadFailed("gone".into())),
        Just(Input::Resend),
        Just(Input::Deadline),
        Just(Input::Cancel),
    ]
}

proptest! {
    /// Duplicated, lost, late and reordered inputs: the load starts at most once and never after STOP, and `Ended` is final.
    #[test]
    fn arbitrary_sequences_are_handled(inputs in proptest::collection::vec(any_input(), 0..40)) {
        let mut state = State::Requested;
        let (mut loads, mut stopped) = (0, false);
        for input in inputs {
            let before = state.clone();
            let Ok((next, actions)) = state.on(input) else { continue };
            for action in actions {
                match action {
                    Action::StartLoad(_) => { loads += 1; prop_assert!(!stopped); }
                    Action::SendStop(_) => stopped = true,
                    Action::SendRun => prop_assert_eq!(&before, &State::Requested),
                    Action::AbortLoad => prop_assert_eq!(&before, &State::Loading),
                }
            }
            prop_assert!(loads <= 1);
            if let State::Ended(_) = before { prop_assert_eq!(&next, &before); }
            state = next;
        }
    }

    /// Two deadlines (the phase's and STOP's) end every attempt.
    #[test]
    fn deadlines_end_every_attempt(inputs in proptest::collection::vec(any_input(), 0..40)) {
        let (mut state, _) = feed(inputs);
        for _ in 0..2 {
            state = state.on(Input::Deadline).unwrap().0;
        }
        prop_assert!(matches!(state, State::Ended(_)));
    }
}
