//! What could not be read, noted once per kind of file. Its figures are missing; the trial goes on.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io;

/// The largest number of notes.
const MAX: usize = 64;

/// What could not be read so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    known: BTreeSet<String>,
    lines: Vec<String>,
}

impl Notes {
    /// Notes a file that could not be read, the first time for each kind of file.
    pub fn unreadable(&mut self, file: &str, of: &dyn Display, error: &io::Error) {
        let remedy = match error.kind() {
            io::ErrorKind::PermissionDenied => "; to have them, run the runner as root",
            _ => "",
        };
        let text = || format!("{file} of {of} cannot be read ({error}): its figures are missing{remedy}");
        self.once(&format!("{file} {:?}", error.kind()), text);
    }

    /// Adds and logs a note, unless there is one with this key.
    pub fn once(&mut self, key: &str, text: impl FnOnce() -> String) {
        if self.lines.len() < MAX && !self.known.contains(key) {
            self.known.insert(key.to_owned());
            let text = text();
            tracing::warn!("{text}");
            self.lines.push(text);
        }
    }

    /// All notes.
    #[must_use]
    pub fn into_lines(self) -> Vec<String> {
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_file_is_noted_once() {
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
