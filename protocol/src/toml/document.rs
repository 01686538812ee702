//! A configuration file as a tree of values that knows its lines.

use std::io::Read;
use std::path::Path;

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};

use super::field::cut;
use super::problem::{Problem, Severity};

/// The largest configuration file, bytes. Larger ones are something else (a disk image, a log).
const MAX_BYTES: u64 = 256 << 10;

/// A file, an environment variable or an option of the command line, as a tree of values.
#[derive(Debug)]
pub struct Document<'a> {
    /// What problems call it.
    pub(super) source: String,
    /// All of its text; empty for a variable or an option.
    text: &'a str,
    /// The offsets of line breaks, ascending.
    breaks: Vec<usize>,
    pub(super) root: DeTable<'a>,
}

impl<'a> Document<'a> {
    /// Parses the text of a file; `source` is what problems call it.
    ///
    /// # Errors
    /// Every line that is not TOML; guesses about the rest would only confuse then.
    pub fn parse(source: impl Into<String>, text: &'a str) -> Result<Self, Vec<Problem>> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let document = Self {
            source: source.into(),
            text,
            breaks: breaks.map(|(at, _)| at).collect(),
            root: root.into_inner(),
        };
        let mut problems: Vec<_> = errors.iter().map(|error| document.syntax_problem(error)).collect();
        problems.sort_by_key(|problem| problem.line);
        // What follows on the same line is mostly a consequence.
        problems.dedup_by_key(|problem| problem.line);
        if problems.is_empty() {
            Ok(document)
        } else {
            Err(problems)
        }
    }

    /// One value that is not from a file; `source` is e.g. `option --name`. The path is that of a key below tables.
    #[must_use]
    pub fn of_value(source: String, path: &[&str], value: &str) -> Document<'static> {
        let unplaced = |value| Spanned::new(0..0, value);
        let leaf = DeValue::String(value.to_owned().into());
        let tree = path.iter().rev().fold(leaf, |inner, &key| {
            let mut table = DeTable::new();
            table.insert(Spanned::new(0..0, key.to_owned().into()), unplaced(inner));
            DeValue::Table(table)
        });
        let root = match tree {
            DeValue::Table(root) => root,
            _ => DeTable::new(),
        };
        Document {
            source,
            text: "",
            breaks: Vec::new(),
            root,
        }
    }

    /// The line of a byte, from 1; `None` if there are no lines.
    pub(super) fn line_of(&self, at: usize) -> Option<usize> {
        (!self.text.is_empty()).then(|| 1 + self.breaks.partition_point(|&end| end < at))
    }

    /// A value as written, cut to 60 characters.
    pub(super) fn shown(&self, value: &Spanned<DeValue<'_>>) -> String {
        match value.get_ref() {
            DeValue::String(text) if self.text.is_empty() => cut(&format!("{text:?}")),
            _ => cut(self.text.get(value.span()).unwrap_or_default()),
        }
    }

    /// A line, from 1, without its break.
    fn line(&self, line: usize) -> &'a str {
        let end = |line: usize| self.breaks.get(line).copied().unwrap_or(self.text.len());
        let start = if line < 2 { 0 } else { end(line - 2) + 1 };
        self.text.get(start..end(line.saturating_sub(1))).unwrap_or_default()
    }

    fn syntax_problem(&self, error: &::toml::de::Error) -> Problem {
        let line = self.line_of(error.span().map_or(0, |span| span.start)).unwrap_or(1);
        Problem {
            severity: Severity::Error,
            file: self.source.clone(),
            line: Some(line),
            table: format!("`{}`", cut(self.line(line).trim())),
            key: None,
            value: None,
            what: format!("invalid TOML: {}", error.message().trim().replace('\n', ", ")),
            remedy: "correct the line, then check again".to_owned(),
        }
    }
}

/// What to do about a file that cannot be read.
#[derive(Clone, Copy, Debug)]
pub struct FileRemedies {
    /// It is a directory.
    pub directory: &'static str,
    /// It does not exist.
    pub missing: &'static str,
    /// It is too large to be what it should be.
    pub too_large: &'static str,
}

/// The text of a file.
///
/// # Errors
/// The problem: it is missing, a directory, unreadable, too large or not UTF-8.
pub fn read(path: &Path, remedies: FileRemedies) -> Result<String, Vec<Problem>> {
    let fault = |line: Option<usize>, what: String, remedy: &str| {
        vec![Problem {
            severity: Severity::Error,
            file: path.display().to_string(),
            line,
            table: String::new(),
            key: None,
            value: None,
            what,
            remedy: remedy.to_owned(),
        }]
    };
    if path.is_dir() {
        return Err(fault(None, "is a directory".into(), remedies.directory));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| {
            let remedy = match error.kind() {
                std::io::ErrorKind::NotFound => remedies.missing,
                std::io::ErrorKind::PermissionDenied => "let this user read it, e.g. chmod +r",
                _ => "name a readable file",
            };
            fault(None, format!("cannot be read: {error}"), remedy)
        })?;
    if bytes.len() as u64 > MAX_BYTES {
        let what = format!("is larger than {MAX_BYTES} bytes");
        return Err(fault(None, what, remedies.too_large));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count();
        fault(
            Some(line),
            format!("is not UTF-8 (byte {at})"),
            "save the file as UTF-8 text",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn document(text: &str) -> Document<'_> {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Document {
            source: String::new(),
            text,
            breaks: breaks.map(|(at, _)| at).collect(),
            root: DeTable::new(),
        }
    }

    #[test]
    fn lines_are_counted_from_one() {
        let text = document("a\nbc\n\nd");
        let lines: Vec<_> = (0..8).filter_map(|at| text.line_of(at)).collect();
        assert_eq!(lines, [1, 1, 2, 2, 2, 3, 4, 4]);
        assert_eq!([1, 2, 3, 4, 5].map(|line| text.line(line)), ["a", "bc", "", "d", ""]);
    }

    proptest! {
        #[test]
        fn a_line_is_what_splitting_gives(text in "[a-c\n]{0,40}") {
            let lines = document(&text);
            for (index, line) in text.split('\n').enumerate() {
                prop_assert_eq!(lines.line(index + 1), line);
            }
        }
    }
}
