//! What a journal says about how far a run has come.

use std::collections::BTreeMap;

use super::journal::{AttemptFinished, Entry, JournalEvent};
use super::record::TrialKey;
use super::verdict::Validity;

/// How far a run has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    trials: BTreeMap<TrialKey, TrialProgress>,
    /// Whether the journal says that nothing is left to do.
    pub finished: bool,
}

/// How far one trial has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrialProgress {
    /// The highest attempt number that was begun; the next one is higher.
    pub last_attempt: u32,
    /// Attempts that came to an end. One that a crash cut short is not among them, and should not count against the most allowed.
    pub ended: Vec<AttemptFinished>,
}

impl TrialProgress {
    /// Whether an attempt counts: not invalid.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.ended.iter().any(|a| a.validity != Validity::Invalid)
    }
}

impl Progress {
    /// Reads the entries in order.
    #[must_use]
    pub fn of(entries: &[Entry]) -> Self {
        let mut progress = Self::default();
        for entry in entries {
            progress.finished = false;
            match &entry.event {
                JournalEvent::TrialStarted(started) => {
                    let trial = progress.trials.entry(started.key.trial.clone()).or_default();
                    trial.last_attempt = trial.last_attempt.max(started.key.attempt);
                }
                JournalEvent::AttemptFinished(ended) => {
                    let trial = progress.trials.entry(ended.key.trial.clone()).or_default();
                    trial.last_attempt = trial.last_attempt.max(ended.key.attempt);
                    trial.ended.push(ended.clone());
                }
                JournalEvent::RunFinished(_) => progress.finished = true,
                JournalEvent::RunStarted(_) | JournalEvent::RunResumed(_) | JournalEvent::RunInterrupted(_) => {}
            }
        }
        progress
    }

    /// One trial; nothing has happened to those that the journal does not name.
    #[must_use]
    pub fn trial(&self, key: &TrialKey) -> TrialProgress {
        self.trials.get(key).cloned().unwrap_or_default()
    }

    /// Every attempt that came to an end, by trial.
    pub fn ended(&self) -> impl Iterator<Item = &AttemptFinished> {
        self.trials.values().flat_map(|t| &t.ended)
    }
}
