//! Checks the counts in the reports against the journal, and that reports are reproducible.

use std::collections::BTreeMap;
use std::fs::{read_to_string, remove_dir_all, remove_file};
use std::path::{Path, PathBuf};

use crate::agree::{Agreed, Attempt, planned};
use crate::lab::program;

/// Checks `report.md` and `report.html` against the attempts that count, then regenerates them.
#[track_caller]
pub fn agree(run: &Path, agreed: &Agreed) {
    let markdown = read_to_string(run.join("report.md")).unwrap();
    let html = read_to_string(run.join("report.html")).unwrap();
    let counted: Vec<_> = agreed.counted().collect();
    let headline = format!(
        "{} of {} trials count, with {} requests",
        counted.len(),
        planned(run).len(),
        spaced(counted.iter().map(|attempt| attempt.total).sum())
    );
    assert!(markdown.contains(&headline), "report.md lacks {headline:?}");
    assert!(html.contains(&headline), "report.html lacks {headline:?}");
    let (in_markdown, in_html) = (markdown_counts(&markdown), html_counts(&html));
    assert_eq!(in_markdown.len(), in_html.len());
    for ((cell, trials, requests), (requests_in_html, good)) in in_markdown.into_iter().zip(in_html) {
        let sum = |of: fn(&Attempt) -> u64| counted.iter().filter(|a| a.cell == cell).map(|a| of(a)).sum::<u64>();
        assert_eq!(trials, sum(|_| 1), "trials of {cell} in report.md");
        assert_eq!(
            requests,
            sum(|attempt| attempt.total),
            "requests of {cell} in report.md"
        );
        assert_eq!(requests_in_html, requests, "requests of {cell} in report.html");
        assert_eq!(
            good,
            sum(|attempt| attempt.ok),
            "good requests of {cell} in report.html"
        );
    }
    rebuild(run);
}

/// Deletes all derived files, regenerates them, and expects the same bytes.
#[track_caller]
fn rebuild(run: &Path) {
    let before = derived_files(run);
    for path in before.keys() {
        remove_file(path).unwrap();
    }
    remove_dir_all(run.join("plots")).unwrap();
    let output = program("controller").arg("report").arg(run).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let after = derived_files(run);
    assert!(
        before.keys().eq(after.keys()),
        "other files than before: {:?}",
        after.keys()
    );
    for (path, bytes) in &before {
        assert!(after[path] == *bytes, "{} has other bytes", path.display());
    }
}

/// The derived files with their content.
fn derived_files(run: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = |folder: &Path| -> Vec<PathBuf> {
        let items = std::fs::read_dir(folder).unwrap();
        items
            .map(|item| item.unwrap().path())
            .filter(|path| path.is_file())
            .collect()
    };
    let raw = ["manifest.json", "journal.jsonl"].map(|name| run.join(name));
    let mut made = files(&run.join("plots"));
    made.extend(files(run).into_iter().filter(|path| !raw.contains(path)));
    made.into_iter()
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect()
}

/// (cell, trials, requests) of every table, column by column.
fn markdown_counts(report: &str) -> Vec<(String, u64, u64)> {
    let mut found = Vec::new();
    for section in report
        .split("\n## ")
        .filter(|section| section.contains("\n| Requests |"))
    {
        let (workload, rest) = section.split_once(" under ").unwrap();
        let (load, _) = rest.split_once(':').unwrap();
        let row = |start: &str| -> Vec<&str> {
            let line = section.lines().find(|line| line.starts_with(start)).unwrap();
            line.split(" |")
                .skip(1)
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        };
        let columns = row("| median").into_iter().zip(row("| Trials")).zip(row("| Requests"));
        for ((platform, trials), requests) in columns {
            found.push((
                format!("{platform}.{workload}.{load}"),
                number(trials),
                number(requests),
            ));
        }
    }
    found
}

/// (requests, successful requests) of every table, column by column.
fn html_counts(report: &str) -> Vec<(u64, u64)> {
    let rows = report
        .split("<td>Requests<small>of which successful</small></td>")
        .skip(1);
    let rows = rows.map(|rest| rest.split_once("</tr>").unwrap().0);
    let cells = rows.flat_map(|row| row.split("<td>").filter(|cell| cell.contains("<small>")));
    cells
        .map(|cell| {
            let (requests, good) = cell.split_once("<small>").unwrap();
            (number(requests), number(good))
        })
        .collect()
}

/// Parses a number as formatted in reports, ignoring surrounding text.
fn number(text: &str) -> u64 {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// Formats a number with narrow spaces between thousands.
fn spaced(value: u64) -> String {
    let digits = value.to_string();
    let groups: Vec<_> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(String::from_utf8_lossy)
        .collect();
    groups.join("\u{202f}")
}
