//! The plan: which trials there are, in which order, and how long they will take. Pure: the same experiment gives the same plan everywhere.

mod eta;
mod order;
mod show;

use protocol::ids::Name;

pub use eta::{ASSUMED_OVERHEAD, Eta, load_time};
pub use show::{plan_json, plan_text};

use crate::config::{Experiment, Order};

/// The trials of an experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Every platform x workload x load of one speech, in the file's order; trials name them by index.
    pub cells: Vec<Cell>,
    /// The trials, in the order they are run.
    pub trials: Vec<PlannedTrial>,
}

/// A platform with a workload under a load; each is an index into the experiment's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// `platform.workload.load`; unique, since no name holds a dot.
    pub name: String,
    /// Index into [`Experiment::platforms`].
    pub platform: usize,
    /// Index into [`Experiment::workloads`].
    pub workload: usize,
    /// Index into [`Experiment::loads`].
    pub load: usize,
}

/// One trial to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlannedTrial {
    /// Its place in the order of the whole experiment, from 1; it stays the same when a platform is left out.
    pub number: usize,
    /// The block that it belongs to, from 1.
    pub block: u32,
    /// Index into [`Plan::cells`].
    pub cell: usize,
}

impl Plan {
    /// The plan of an experiment.
    #[must_use]
    pub fn new(experiment: &Experiment) -> Self {
        let cells = cells(experiment);
        let blocks = 1..=experiment.iterations;
        let pairs: Vec<(u32, usize)> = match experiment.order {
            Order::RandomizedBlocks => blocks
                .flat_map(|block| {
                    let order = order::of_block(experiment.seed, block, cells.len());
                    order.into_iter().map(move |cell| (block, cell))
                })
                .collect(),
            Order::Batch => (0..cells.len())
                .flat_map(|cell| blocks.clone().map(move |block| (block, cell)))
                .collect(),
        };
        let trials = pairs
            .into_iter()
            .enumerate()
            .map(|(index, (block, cell))| PlannedTrial {
                number: index + 1,
                block,
                cell,
            })
            .collect();
        Self { cells, trials }
    }

    /// The cell of a trial.
    #[must_use]
    pub fn cell(&self, trial: &PlannedTrial) -> &Cell {
        &self.cells[trial.cell]
    }

    /// The plan without the trials of a platform (an index into [`Experiment::platforms`]) whose need is not met. The order of the others,
    /// their numbers and all cells stay.
    #[must_use]
    pub fn without_platform(mut self, platform: usize) -> Self {
        let cells = &self.cells;
        self.trials.retain(|trial| cells[trial.cell].platform != platform);
        self
    }
}

fn cells(experiment: &Experiment) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (p, platform) in experiment.platforms.iter().enumerate() {
        for (w, workload) in experiment.workloads.iter().enumerate() {
            for (l, load) in experiment.loads.iter().enumerate() {
                if experiment.skips(&platform.name, workload, load) {
                    continue;
                }
                cells.push(Cell {
                    name: cell_name(&platform.name, &workload.name, &load.name),
                    platform: p,
                    workload: w,
                    load: l,
                });
            }
        }
    }
    cells
}

fn cell_name(platform: &Name, workload: &Name, load: &Name) -> String {
    format!("{platform}.{workload}.{load}")
}

#[cfg(test)]
mod tests;
