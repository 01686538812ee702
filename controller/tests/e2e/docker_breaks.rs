//! Faults during trials with containers.

use crate::agree::agree;
use crate::docker::containers;
use crate::lab::Lab;
use crate::services::{runner, shipped};

#[test]
#[ignore = "needs Docker"]
fn kill_9_of_the_runner_while_a_container_runs() {
    let lab = Lab::new();
    let mut runner = lab.runner();
    let experiment = lab.experiment().with_platforms("[[platform]]\nkind = \"docker\"\n");
    lab.write(&experiment.with_loads(&[("r100", 100, 4)]));
    let mut controller = lab.controller(&[]);
    controller.wait_for(": load");
    let left = containers(&lab);
    assert_eq!(left.len(), 1, "{left:?}");
    runner.kill();
    assert_eq!(containers(&lab), left, "it outlives its runner");
    let mut runner = lab.runner();
    runner.wait_for("serving");
    assert!(
        !containers(&lab).contains(&left[0]),
        "the next runner removes it before it serves"
    );
    controller.ends_with(0);
    let agreed = agree(&lab.run_folder());
    let first = &agreed.attempts[0];
    assert!(first.number == 1 && !first.counts(), "{agreed:?}");
    let again = agreed.counted().find(|attempt| attempt.trial == first.trial).unwrap();
    assert!(again.number >= 2, "{agreed:?}");
    assert_eq!(agreed.counted().count(), 2);
    assert_eq!(containers(&lab), Vec::<String>::new());
}

#[test]
#[ignore = "needs Docker"]
fn a_missing_image() {
    let lab = Lab::new();
    let experiment = lab
        .experiment()
        .with_platforms("[[platform]]\nkind = \"docker\"\nimage = \"no-such:1\"\n");
    {
        let _runner = lab.runner();
        let said = lab.run(&experiment, 6);
        assert!(
            said.contains("the image no-such:1 is not allowed on this host"),
            "{said}"
        );
    }
    let _runner = runner(&lab, &shipped(), "images = [\"no-such:*\"]");
    let said = lab.run(&experiment, 6);
    assert!(said.contains("platform docker is unavailable"), "{said}");
    assert!(said.contains("image no-such:1"), "{said}");
    lab.assert_no_run();
}
