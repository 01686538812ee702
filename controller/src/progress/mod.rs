//! Progress of a run on standard error: bars on a terminal, plain lines otherwise.

mod bars;
mod display;
mod lines;

pub use bars::LogWriter;
pub use display::{Progress, TrialLabel};

use bars::Bars;
use indicatif::ProgressDrawTarget;
use lines::Lines;

/// Progress of a run with this many trials, and a log writer that does not interfere with it: bars if standard error is a terminal, lines otherwise.
#[must_use]
pub fn on_stderr(total_trials: usize, is_terminal: bool) -> (Box<dyn Progress>, LogWriter) {
    if !is_terminal {
        return (Box::new(Lines::to_stderr()), LogWriter::plain());
    }
    // Four redraws per second cost little CPU time during a load.
    let bars = Bars::new(total_trials, ProgressDrawTarget::stderr_with_hz(4));
    let log = LogWriter::with_bars(bars.multi());
    (Box::new(bars), log)
}

#[cfg(test)]
mod tests;
