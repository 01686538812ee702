//! Two progress bars on a terminal: the run above, the trial below.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::fmt::MakeWriter;

use super::display::{Progress, TrialLabel};
use crate::config::show_duration;

/// Redraw interval of the trial's bar, for its clock.
const TICK: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Bars {
    multi: MultiProgress,
    pub(super) run: ProgressBar,
    pub(super) trial: ProgressBar,
    label: Mutex<String>,
}

impl Bars {
    pub(super) fn new(total_trials: usize, target: ProgressDrawTarget) -> Self {
        let multi = MultiProgress::with_draw_target(target);
        let run =
            multi.add(ProgressBar::new(total_trials as u64).with_style(style("{bar:30} {pos}/{len} trials{msg}")));
        let trial = multi.add(ProgressBar::new(0).with_style(without_count()));
        let label = Mutex::default();
        Self {
            multi,
            run,
            trial,
            label,
        }
    }

    pub(super) fn multi(&self) -> &MultiProgress {
        &self.multi
    }

    fn end_attempt(&self, outcome: &str) {
        self.trial.disable_steady_tick();
        let line = format!("{}: {outcome}", self.label());
        self.print(&line);
    }

    fn label(&self) -> MutexGuard<'_, String> {
        self.label.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints a line above the bars; errors of the terminal are ignored.
    fn print(&self, line: &str) {
        let _ = self.multi.println(line);
    }
}

impl Progress for Bars {
    fn resumed(&self, trials: usize) {
        self.run.set_position(trials as u64);
    }

    fn trial_started(&self, label: &TrialLabel) {
        self.trial.reset();
        self.trial.set_style(without_count());
        let label = label.to_string();
        self.trial.set_prefix(label.clone());
        *self.label() = label;
        self.trial.set_message("");
        self.trial.enable_steady_tick(TICK);
        self.run.tick();
    }

    fn phase(&self, phase: &str) {
        // A phase has its own clock and request count.
        self.trial.reset();
        self.trial.set_style(without_count());
        self.trial.set_prefix(format!("{}: {phase}", self.label()));
        self.trial.set_message("");
    }

    fn load_progress(&self, done: u64, total: Option<u64>, errors: u64) {
        if self.trial.length() != total || self.trial.position() == 0 {
            match total {
                Some(total) => {
                    self.trial
                        .set_style(style("{prefix} {elapsed} {bar:20} {pos}/{len} requests{msg}"));
                    self.trial.set_length(total);
                }
                None => {
                    self.trial.set_style(style("{prefix} {elapsed} {pos} requests{msg}"));
                    self.trial.unset_length();
                }
            }
        }
        self.trial.set_message(format!(", {errors} errors"));
        self.trial.set_position(done);
    }

    fn trial_done(&self, outcome: &str, eta: Duration) {
        self.end_attempt(outcome);
        self.run
            .set_message(format!(", about {} remaining", show_duration(whole_seconds(eta))));
        self.run.inc(1);
    }

    fn attempt_failed(&self, why: &str) {
        self.end_attempt(&format!("will be retried: {why}"));
    }

    fn note(&self, text: &str) {
        self.print(&format!("\x1b[1;33mNOTE: {text}\x1b[0m"));
    }

    fn finish(&self, summary: &str) {
        self.trial.finish_and_clear();
        self.run.finish_and_clear();
        self.print(summary);
    }
}

fn without_count() -> ProgressStyle {
    style("{prefix} {elapsed} {msg}")
}

#[expect(
    clippy::expect_used,
    reason = "the templates are constants, and a test draws each of them"
)]
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("valid template")
}

/// Rounds to whole seconds.
pub(super) fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.saturating_add(Duration::from_millis(500)).as_secs())
}

/// Writes to standard error; suspends the bars for every line.
#[derive(Clone, Debug)]
pub struct LogWriter(Option<MultiProgress>);

impl LogWriter {
    /// Standard error without bars.
    #[must_use]
    pub const fn plain() -> Self {
        Self(None)
    }

    pub(super) fn with_bars(bars: &MultiProgress) -> Self {
        Self(Some(bars.clone()))
    }
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let write = || io::stderr().write_all(bytes).map(|()| bytes.len());
        match &self.0 {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
