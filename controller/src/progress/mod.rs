//! Progress of a run on standard error: bars on a terminal, plain lines otherwise.

mod bars;
mod lines;

use std::fmt;
use std::time::Duration;

pub use bars::LogWriter;

use bars::Bars;
use indicatif::ProgressDrawTarget;
use lines::Lines;

/// The progress of the run and its current trial. Cheap to call from any thread; only a few updates per second are drawn.
#[derive(Debug)]
pub struct Progress(Rendering);

#[derive(Debug)]
enum Rendering {
    Bars(Bars),
    Lines(Lines),
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

impl Progress {
    /// Progress of a run with this many trials: bars if standard error is a terminal, lines otherwise.
    #[must_use]
    pub fn new(total_trials: usize, is_terminal: bool) -> Self {
        Self(if is_terminal {
            // Four redraws per second cost little CPU time during a load.
            Rendering::Bars(Bars::new(total_trials, ProgressDrawTarget::stderr_with_hz(4)))
        } else {
            Rendering::Lines(Lines::to_stderr())
        })
    }

    /// A log writer that does not interfere with the bars.
    #[must_use]
    pub fn log_writer(&self) -> LogWriter {
        match &self.0 {
            Rendering::Bars(bars) => LogWriter::with_bars(bars.multi()),
            Rendering::Lines(_) => LogWriter::plain(),
        }
    }

    /// A resumed run already has this many completed trials.
    pub fn resumed(&self, trials: usize) {
        match &self.0 {
            Rendering::Bars(bars) => bars.resumed(trials),
            Rendering::Lines(lines) => lines.line(&format!("resuming after {trials} trials")),
        }
    }

    /// An attempt begins.
    pub fn trial_started(&self, label: &TrialLabel) {
        match &self.0 {
            Rendering::Bars(bars) => bars.trial_started(label),
            Rendering::Lines(lines) => lines.trial_started(label),
        }
    }

    /// The attempt enters a phase: `deployment`, `load`, `stop`, ...
    pub fn phase(&self, phase: &str) {
        match &self.0 {
            Rendering::Bars(bars) => bars.phase(phase),
            Rendering::Lines(lines) => lines.phase(phase),
        }
    }

    /// Progress of the load: requests completed, their expected total if known, and failed requests.
    pub fn load_progress(&self, done: u64, total: Option<u64>, errors: u64) {
        match &self.0 {
            Rendering::Bars(bars) => bars.load_progress(done, total, errors),
            Rendering::Lines(lines) => lines.load_progress(done, total, errors),
        }
    }

    /// The trial is complete or given up; `eta` is the estimated remaining time.
    pub fn trial_done(&self, outcome: &str, eta: Duration) {
        match &self.0 {
            Rendering::Bars(bars) => bars.trial_done(outcome, eta),
            Rendering::Lines(lines) => lines.trial_done(outcome, eta),
        }
    }

    /// The attempt is invalid and the trial will be retried.
    pub fn attempt_failed(&self, why: &str) {
        match &self.0 {
            Rendering::Bars(bars) => bars.attempt_failed(why),
            Rendering::Lines(lines) => lines.attempt_failed(why),
        }
    }

    /// Prints a highlighted note.
    pub fn note(&self, text: &str) {
        match &self.0 {
            Rendering::Bars(bars) => bars.note(text),
            Rendering::Lines(lines) => lines.line(&format!("NOTE: {text}")),
        }
    }

    /// The run is over: removes the bars and prints a summary.
    pub fn finish(&self, summary: &str) {
        match &self.0 {
            Rendering::Bars(bars) => bars.finish(summary),
            Rendering::Lines(lines) => lines.line(summary),
        }
    }
}

#[cfg(test)]
mod tests;
