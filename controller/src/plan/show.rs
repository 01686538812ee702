//! The plan as text and as JSON.

use std::time::Duration;

use analysis::text::counted;
use serde_json::json;

use super::eta::{Eta, load_time};
use super::order::Plan;
use crate::config::{Experiment, show_duration};
use crate::preflight;

/// The trials in order, and the estimated duration.
#[must_use]
pub fn plan_text(experiment: &Experiment, plan: &Plan) -> String {
    let eta = Eta::new(experiment, plan);
    let mut text = format!(
        "{}: {} x {} x {} = {}, {}, {}\n",
        experiment.name,
        counted(experiment.platforms.len(), "platform"),
        counted(experiment.workloads.len(), "workload"),
        counted(experiment.loads.len(), "load"),
        counted(plan.cells.len(), "cell"),
        counted(experiment.iterations as usize, "block"),
        counted(plan.trials.len(), "trial"),
    );
    let width = plan.cells.iter().map(|cell| cell.name.len()).max().unwrap_or_default();
    for trial in &plan.trials {
        let cell = plan.cell(trial);
        let load = show_duration(load_time(&experiment.loads[cell.load].spec.kind));
        text += &format!(
            "{:>6}  block {:<4}  {:width$}  load {load}\n",
            trial.number, trial.block, cell.name
        );
    }
    let all = experiment.platforms.len() * experiment.workloads.len() * experiment.loads.len();
    if plan.cells.len() < all {
        text += "UDP loads combine with UDP workloads only, HTTP loads with HTTP workloads only: other pairs are no cells\n";
    }
    for line in preflight::requirements(experiment) {
        text += &format!("{line}\n");
    }
    text + &format!(
        "estimated duration {}, assuming an overhead of {} per trial; a run refines the estimate\n",
        show_duration(eta.remaining(&plan.trials)),
        show_duration(eta.overhead()),
    )
}

/// The plan as JSON; times in milliseconds.
#[must_use]
pub fn plan_json(experiment: &Experiment, plan: &Plan) -> String {
    let eta = Eta::new(experiment, plan);
    let trials: Vec<_> = plan
        .trials
        .iter()
        .map(|trial| {
            let cell = plan.cell(trial);
            let load_ms = ms(load_time(&experiment.loads[cell.load].spec.kind));
            json!({"number": trial.number, "block": trial.block, "cell": cell.name, "load_ms": load_ms})
        })
        .collect();
    let plan = json!({
        "experiment": experiment.name,
        "seed": experiment.seed,
        "iterations": experiment.iterations,
        "cells": plan.cells.iter().map(|cell| &cell.name).collect::<Vec<_>>(),
        "trials": trials,
        "required": preflight::requirements(experiment),
        "eta_ms": ms(eta.remaining(&plan.trials)),
        "assumed_overhead_ms": ms(eta.overhead()),
    });
    format!("{plan:#}\n")
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
