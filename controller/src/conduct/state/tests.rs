//! Single steps by example, everything else by random orders.

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

/// Feeds inputs as the driver of the machine does: an illegal one changes nothing.
fn feed(inputs: impl IntoIterator<Item = Input>) -> (State, Vec<Action>) {
    let mut state = State::Asked;
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
fn the_straight_way() {
    let (state, actions) = feed([
        Input::Accepted,
        Input::Ready(ready()),
        Input::LoadOver,
        Input::Summary(summary()),
    ]);
    assert_eq!(state, State::Ended(Box::new(End::Summed(Cause::LoadOver, summary()))));
    assert_eq!(
        actions,
        [Action::StartLoad(ready()), Action::SendStop(StopReason::Finished)]
    );
}

#[test]
fn an_accepted_that_was_lost_is_not_missed() {
    let (state, _) = feed([Input::Ready(ready())]);
    assert_eq!(state, State::Loading);
}

#[test]
fn a_service_that_dies_ends_the_load() {
    let (state, actions) = feed([Input::Accepted, Input::Ready(ready()), Input::Failed(failed())]);
    assert_eq!(state, State::Ended(Box::new(End::Failed(failed()))));
    assert_eq!(actions.last(), Some(&Action::AbortLoad));
}

#[test]
fn a_phase_that_is_late_is_stopped_and_named() {
    let (state, actions) = feed([Input::Late]);
    assert_eq!(state, State::Stopping(Cause::Late(Phase::Answer)));
    assert_eq!(actions, [Action::SendStop(StopReason::Deadline)]);
    let (state, _) = feed([Input::Late, Input::Late]);
    assert_eq!(state, State::Ended(Box::new(End::Silent(Phase::Stop))));
}

#[test]
fn a_summary_without_a_stop_is_illegal() {
    assert_eq!(
        State::Loading.on(Input::Summary(summary())).unwrap_err().to_string(),
        "SUMMARY makes no sense while loading"
    );
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        Just(Input::Accepted),
        Just(Input::Refused(refused())),
        Just(Input::Ready(ready())),
        Just(Input::Summary(summary())),
        Just(Input::Failed(failed())),
        Just(Input::LoadOver),
        Just(Input::LoadBroken("gone".into())),
        Just(Input::Resend),
        Just(Input::Late),
        Just(Input::Cancel),
    ]
}

proptest! {
    /// Duplicated, lost, late and reordered inputs: the load is fired at most once, never after a STOP, an end stays the end.
    #[test]
    fn any_order_is_survived(inputs in proptest::collection::vec(any_input(), 0..40)) {
        let mut state = State::Asked;
        let (mut loads, mut stopped) = (0, false);
        for input in inputs {
            let before = state.clone();
            let Ok((next, actions)) = state.on(input) else { continue };
            for action in actions {
                match action {
                    Action::StartLoad(_) => { loads += 1; prop_assert!(!stopped); }
                    Action::SendStop(_) => stopped = true,
                    Action::SendRun => prop_assert_eq!(&before, &State::Asked),
                    Action::AbortLoad => prop_assert_eq!(&before, &State::Loading),
                }
            }
            prop_assert!(loads <= 1);
            if let State::Ended(_) = before { prop_assert_eq!(&next, &before); }
            state = next;
        }
    }

    /// Whatever came before, two deadlines (one for the phase, one for the STOP) end every attempt that had no load, three any.
    #[test]
    fn deadlines_end_everything(inputs in proptest::collection::vec(any_input(), 0..40)) {
        let (mut state, _) = feed(inputs);
        for _ in 0..2 {
            state = state.on(Input::Late).unwrap().0;
        }
        prop_assert!(matches!(state, State::Ended(_)));
    }
}
