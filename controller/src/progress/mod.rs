//! What a person sees while a run goes on: bars on a terminal, plain lines elsewhere. All of it goes to standard error.

mod bars;
mod lines;
mod writer;

use std::fmt;
use std::time::Duration;

pub use writer::LogWriter;

use bars::Bars;
use indicatif::ProgressDrawTarget;
use lines::Lines;

/// How far the run and the running trial are. Cheap to call from any thread; of many ticks only a few a second are shown.
#[derive(Debug)]
pub struct Progress(Rendering);

#[derive(Debug)]
enum Rendering {
    Bars(Bars),
    Lines(Lines),
}

/// Which trial is running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialLabel {
    /// Its place, from 1.
    pub number: usize,
    /// How many trials there are.
    pub of: usize,
    /// The cell's name.
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
    /// For a run of so many trials: bars if standard error is a terminal, lines if not.
    #[must_use]
    pub fn new(total_trials: usize, is_terminal: bool) -> Self {
        Self(if is_terminal {
            // Four times a second is enough for people and little work beside a load.
            Rendering::Bars(Bars::new(total_trials, ProgressDrawTarget::stderr_with_hz(4)))
        } else {
            Rendering::Lines(Lines::to_stderr())
        })
    }

    /// Where logs must go so that they and the bars do not tear each other.
    #[must_use]
    pub fn log_writer(&self) -> LogWriter {
        match &self.0 {
            Rendering::Bars(bars) => LogWriter::beside(bars.multi()),
            Rendering::Lines(_) => LogWriter::plain(),
        }
    }

    /// So many trials are already behind us: those of the run that is resumed.
    pub fn resumed(&self, trials: usize) {
        match &self.0 {
            Rendering::Bars(bars) => bars.resumed(trials),
            Rendering::Lines(lines) => lines.line(&format!("going on after {trials} trials")),
        }
    }

    /// An attempt at a trial begins.
    pub fn trial_started(&self, label: &TrialLabel) {
        match &self.0 {
            Rendering::Bars(bars) => bars.trial_started(label),
            Rendering::Lines(lines) => lines.trial_started(label),
        }
    }

    /// The trial enters a phase: `deploy`, `warm-up`, `load`, `stop`, ...
    pub fn phase(&self, phase: &str) {
        match &self.0 {
            Rendering::Bars(bars) => bars.phase(phase),
            Rendering::Lines(lines) => lines.phase(phase),
        }
    }

    /// How far the load is: requests done, of how many if that is known, and how many of them failed.
    pub fn load_tick(&self, done: u64, total: Option<u64>, errors: u64) {
        match &self.0 {
            Rendering::Bars(bars) => bars.load_tick(done, total, errors),
            Rendering::Lines(lines) => lines.load_tick(done, total, errors),
        }
    }

    /// The trial is over, for better or worse; `eta` is how long the rest will take.
    pub fn trial_done(&self, outcome: &str, eta: Duration) {
        match &self.0 {
            Rendering::Bars(bars) => bars.trial_done(outcome, eta),
            Rendering::Lines(lines) => lines.trial_done(outcome, eta),
        }
    }

    /// This attempt is over and the trial will be tried again, now or later: it counts as not done.
    pub fn attempt_failed(&self, why: &str) {
        match &self.0 {
            Rendering::Bars(bars) => bars.attempt_failed(why),
            Rendering::Lines(lines) => lines.attempt_failed(why),
        }
    }

    /// A loud line: something that the user should not miss.
    pub fn note(&self, text: &str) {
        match &self.0 {
            Rendering::Bars(bars) => bars.note(text),
            Rendering::Lines(lines) => lines.line(&format!("NOTE: {text}")),
        }
    }

    /// The run is over; the bars go, the summary stays.
    pub fn finish(&self, summary: &str) {
        match &self.0 {
            Rendering::Bars(bars) => bars.finish(summary),
            Rendering::Lines(lines) => lines.line(summary),
        }
    }
}

#[cfg(test)]
mod tests;
