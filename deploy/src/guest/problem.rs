//! What is wrong in a description.

use std::fmt;
use std::path::PathBuf;

/// Something wrong in a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, e.g. `kernel`.
    pub key: &'static str,
    /// What is wrong, and a remedy.
    pub what: String,
}

/// Everything that is wrong in a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The file.
    pub file: PathBuf,
    /// What is wrong in it.
    pub problems: Vec<Problem>,
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        let mut separator = ": ";
        for Problem { key, what } in &self.problems {
            write!(f, "{separator}{key}: {what}")?;
            separator = "; ";
        }
        Ok(())
    }
}
