//! What could not be read, said once a kind of file: a figure is missing then, not the trial.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io;

/// The most notes that are kept.
const MOST: usize = 64;

/// What could not be read so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    known: BTreeSet<String>,
    said: Vec<String>,
}

impl Notes {
    /// Notes that a kind of file could not be read; the first of a kind counts.
    pub fn unreadable(&mut self, file: &str, of: &dyn Display, error: &io::Error) {
        let remedy = match error.kind() {
            io::ErrorKind::PermissionDenied => ", run the runner as root to have them",
            _ => "",
        };
        let text = || format!("{file} of {of} cannot be read ({error}): its figures are missing{remedy}");
        self.once(&format!("{file} {:?}", error.kind()), text);
    }

    /// Says something, if nothing was said under this key before.
    pub fn once(&mut self, key: &str, text: impl FnOnce() -> String) {
        if self.said.len() < MOST && !self.known.contains(key) {
            self.known.insert(key.to_owned());
            let text = text();
            tracing::warn!("{text}");
            self.said.push(text);
        }
    }

    /// All of them.
    #[must_use]
    pub fn into_lines(self) -> Vec<String> {
        self.said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_file_is_told_of_once() {
        let mut notes = Notes::default();
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        notes.unreadable("io", &"pid 7", &denied());
        notes.unreadable("io", &"pid 8", &denied());
        notes.unreadable("smaps_rollup", &"pid 7", &denied());
        let lines = notes.into_lines();
        assert_eq!(lines.len(), 2);
        assert!(
            lines[0].starts_with("io of pid 7") && lines[0].contains("as root"),
            "{}",
            lines[0]
        );
    }
}
