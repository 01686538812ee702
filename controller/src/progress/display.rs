//! What is shown of a run.

use std::fmt;
use std::time::Duration;

/// The progress of the run and its current trial. Cheap to call from any thread.
pub trait Progress: Send + Sync {
    /// A resumed run already has this many completed trials.
    fn resumed(&self, trials: usize);

    /// An attempt begins.
    fn trial_started(&self, label: &TrialLabel);

    /// The attempt enters a phase: `deployment`, `load`, `stop`, ...
    fn phase(&self, phase: &str);

    /// Progress of the load: requests completed, their expected total if known, and failed requests.
    fn load_progress(&self, done: u64, total: Option<u64>, errors: u64);

    /// The trial is complete or given up; `eta` is the estimated remaining time.
    fn trial_done(&self, outcome: &str, eta: Duration);

    /// The attempt is invalid and the trial will be retried.
    fn attempt_failed(&self, why: &str);

    /// Prints a highlighted note.
    fn note(&self, text: &str);

    /// The run is over: removes the bars and prints a summary.
    fn finish(&self, summary: &str);
}

/// The trial that is running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialLabel {
    /// Its number, from 1.
    pub number: usize,
    /// The number of trials.
    pub of: usize,
    /// The cell.
    pub cell: String,
    /// The block, from 1.
    pub block: u32,
    /// The attempt, from 1.
    pub attempt: u32,
}

impl fmt::Display for TrialLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "trial {}/{} {} block {}",
            self.number, self.of, self.cell, self.block
        )?;
        if self.attempt > 1 {
            write!(f, " attempt {}", self.attempt)?;
        }
        Ok(())
    }
}
