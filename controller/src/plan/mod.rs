//! The plan: the trials, their order and their estimated duration. Pure: the same experiment always gives the same plan.

mod eta;
mod show;

use protocol::ids::Name;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

pub use eta::{ASSUMED_OVERHEAD, Eta, load_time};
pub use show::{plan_json, plan_text};

use crate::config::{Experiment, Order};

/// The trials of an experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Every combination of platform, workload and load with matching transport, in the file's order; trials refer to them by index.
    pub cells: Vec<Cell>,
    /// The trials, in execution order.
    pub trials: Vec<PlannedTrial>,
}

/// A platform, workload and load; each is an index into the experiment's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// `platform.workload.load`; unique, since names contain no dots.
    pub name: String,
    /// Index into [`Experiment::platforms`].
    pub platform: usize,
    /// Index into [`Experiment::workloads`].
    pub workload: usize,
    /// Index into [`Experiment::loads`].
    pub load: usize,
}

/// A planned trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlannedTrial {
    /// Its position in the whole experiment, from 1; unchanged if a platform is left out.
    pub number: usize,
    /// The block, from 1.
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
                    let order = block_order(experiment.seed, block, cells.len());
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

    /// Whether there is a trial of a workload on a platform (indices into the experiment's lists).
    #[must_use]
    pub fn has(&self, platform: usize, workload: usize) -> bool {
        let mut cells = self.trials.iter().map(|trial| &self.cells[trial.cell]);
        cells.any(|cell| cell.platform == platform && cell.workload == workload)
    }

    /// The plan without the trials of a workload on a platform, like [`Self::without_platform`].
    #[must_use]
    pub fn without_workload(mut self, platform: usize, workload: usize) -> Self {
        let cells = &self.cells;
        self.trials.retain(|trial| {
            let cell = &cells[trial.cell];
            cell.platform != platform || cell.workload != workload
        });
        self
    }

    /// The plan without the trials of a platform (an index into [`Experiment::platforms`]). The order and numbers of the others,
    /// and all cells, stay the same.
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

/// A random order of `cells` cells, identical for the same seed and block on every machine and in every release.
///
/// The key of ChaCha20 is the seed, little-endian and zero-padded, and its stream is the block, so that the order of a block does not
/// depend on the number of blocks. The shuffle (Fisher-Yates from the end) is implemented here because a library's may change.
fn block_order(seed: u64, block: u32, cells: usize) -> Vec<usize> {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut rng = ChaCha20Rng::from_seed(key);
    rng.set_stream(u64::from(block));
    let mut order: Vec<usize> = (0..cells).collect();
    for last in (1..cells).rev() {
        order.swap(last, uniform_below(&mut rng, last + 1));
    }
    order
}

/// A uniform number below `bound` > 0, by rejection sampling.
fn uniform_below(rng: &mut impl Rng, bound: usize) -> usize {
    let bound = bound as u64;
    let fair = u64::MAX - u64::MAX % bound;
    loop {
        let draw = rng.next_u64();
        if draw < fair {
            #[expect(clippy::cast_possible_truncation, reason = "the remainder is below a usize")]
            return (draw % bound) as usize;
        }
    }
}

#[cfg(test)]
mod tests;
