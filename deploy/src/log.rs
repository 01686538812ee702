//! The log of a guest or container: messages of its hypervisor or monitor, its output, and how it ended.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Bytes of the tail that an error message quotes.
const TAIL: u64 = 600;

/// Appends a line of Jung's own. It is not an error if the log cannot be written.
pub(crate) fn append(log: &Path, line: &str) {
    if let Ok(mut log) = OpenOptions::new().append(true).create(true).open(log) {
        let _ = writeln!(log, "\n[jung: {line}]");
    }
}

/// The last lines, joined into one.
pub(crate) fn tail(log: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let from = file.metadata()?.len().saturating_sub(TAIL);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        "no output".into()
    } else {
        lines.join(" / ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        assert_eq!(tail(&log), "no output");
        append(&log, "one");
        append(&log, "two");
        assert_eq!(tail(&log), "[jung: one] / [jung: two]");
        std::fs::write(&log, "x".repeat(10_000) + "\nend").unwrap();
        assert!(tail(&log).ends_with("x / end") && tail(&log).len() < 700);
    }
}
