//! The engine `ramp`.

use std::time::Duration;

use loader::{
    BodyRule, Connections, Control, Engine, Expect, Outcome, RampPlan, RampSearch, RatePlan, StepVerdict, Target,
};
use protocol::load::{Bounds, Limit};

use crate::requests;
use crate::scripted::Scripted;

fn run(server: &Scripted, from: f64, to: f64) -> Outcome {
    let step = RatePlan {
        warm_up: Duration::from_millis(50),
        timeout: Duration::from_secs(20),
        connections: Connections::KeepAlive { pool: 2, at_most: 500 },
        ..RatePlan::new(to, Duration::from_millis(400))
    };
    let plan = RampPlan {
        bounds: Bounds {
            from,
            to,
            step: 100.0,
            resolution: 0.2,
            repeats: 1,
        },
        limit: Limit {
            errors: 0.0,
            response: Some(Duration::from_millis(150)),
            quantile: 0.99,
        },
        step,
    };
    let expect = Expect::ok(BodyRule::Length(5));
    let target = Target {
        address: server.address,
        path: "/".into(),
        expect,
    };
    RampSearch::new(plan, &target).unwrap().run(&Control::new()).unwrap()
}

/// A server with a service time of 10 ms has a queue that grows by (rate - 100) per second: from 137/s on, the last request waits longer than 150 ms after
/// 0.4 s.
#[test]
fn the_knee_of_a_slow_server() {
    let server = Scripted::slow(Duration::from_millis(10));
    let outcome = run(&server, 20.0, 420.0);
    let ramp = outcome.ramp.as_ref().unwrap();
    let knee = ramp.knee.unwrap();
    assert!(knee.low <= 145.0 && knee.high.unwrap() <= 240.0, "{ramp:?}");
    assert_eq!(knee.repeats, 1);
    let sustained = |step: &loader::Step| step.verdict == StepVerdict::Sustained;
    assert!(ramp.steps.iter().any(|step| !sustained(step)), "{ramp:?}");
    assert!(
        ramp.steps
            .iter()
            .all(|step| step.rate_per_s < 200.0 || !sustained(step)),
        "{ramp:?}"
    );
    // The results are those of the final measurement at the knee; everything before is warm-up.
    assert!((outcome.counts.due as f64 - knee.low * 0.4).abs() <= 1.0);
    let all = requests(&outcome);
    assert_eq!(all.len() as u64, outcome.counts.due + outcome.warm_up.due);
    assert!(all.is_sorted_by_key(|request| request.done_ns));
    for request in all {
        assert_eq!(
            request.warm_up,
            request.intended_ns < outcome.window.start,
            "{request:?}"
        );
    }
}

#[test]
fn there_is_no_knee_if_the_first_rate_is_not_sustained() {
    let server = Scripted::slow(Duration::from_millis(10));
    let outcome = run(&server, 300.0, 400.0);
    let ramp = outcome.ramp.as_ref().unwrap();
    assert_eq!((ramp.knee, ramp.steps.len()), (None, 1));
    assert_eq!(outcome.counts.due, 120);
}
