//! The file itself: is it there, is it text.

use std::io::Read;
use std::path::Path;

use super::problem::{Problem, Severity};

/// The largest experiment file, bytes. Larger ones are something else (a disk image, a log).
const MAX_BYTES: u64 = 256 << 10;

/// A text that knows its lines.
#[derive(Debug)]
pub(super) struct Text<'a> {
    /// All of it.
    pub(super) all: &'a str,
    /// Where line breaks stand, ascending.
    breaks: Vec<usize>,
}

impl<'a> Text<'a> {
    pub(super) fn new(all: &'a str) -> Self {
        let breaks = all.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self {
            all,
            breaks: breaks.map(|(at, _)| at).collect(),
        }
    }

    /// The line of a byte, from 1.
    pub(super) fn line_of(&self, at: usize) -> usize {
        1 + self.breaks.partition_point(|&end| end < at)
    }

    /// A line, from 1, without its break.
    pub(super) fn line(&self, line: usize) -> &'a str {
        let end = |line: usize| self.breaks.get(line).copied().unwrap_or(self.all.len());
        let start = if line < 2 { 0 } else { end(line - 2) + 1 };
        self.all.get(start..end(line.saturating_sub(1))).unwrap_or_default()
    }
}

/// The text of a file, or what keeps us from it.
pub(super) fn read(path: &Path) -> Result<String, Vec<Problem>> {
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
        return Err(fault(
            None,
            "is a directory".into(),
            "name the file in it: --config DIR/experiments.toml",
        ));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| fault(None, format!("cannot be read: {error}"), remedy_of(&error)))?;
    if bytes.trim_ascii().is_empty() {
        return Err(fault(
            None,
            "is empty".into(),
            "begin with a copy of a file in experiments/; see docs/experiments.md",
        ));
    }
    if bytes.len() as u64 > MAX_BYTES {
        let what = format!("is larger than {MAX_BYTES} bytes");
        return Err(fault(
            None,
            what,
            "an experiment file is a short TOML text; see docs/experiments.md",
        ));
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

fn remedy_of(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            "name an experiment file with --config, or start in the folder of experiments.toml"
        }
        std::io::ErrorKind::PermissionDenied => "let this user read it, e.g. chmod +r",
        _ => "name a readable file with --config",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_counted_from_one() {
        let text = Text::new("a\nbc\n\nd");
        let lines: Vec<_> = (0..8).map(|at| text.line_of(at)).collect();
        assert_eq!(lines, [1, 1, 2, 2, 2, 3, 4, 4]);
        assert_eq!([1, 2, 3, 4, 5].map(|line| text.line(line)), ["a", "bc", "", "d", ""]);
    }

    proptest! {
        #[test]
        fn a_line_is_what_splitting_gives(text in "[a-c\n]{0,40}") {
            let lines = Text::new(&text);
            for (index, line) in text.split('\n').enumerate() {
                prop_assert_eq!(lines.line(index + 1), line);
            }
        }
    }
}
