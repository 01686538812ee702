//! `report.md`: the report as Markdown.

use std::fmt::Write;

use super::analysis::{Analysis, CellResult, shown_metrics};
use super::banners::{self, Banner, Tone};
use super::format::{count, interval, maybe, number, p_value};
use super::load::RunData;
use super::plots::Plot;
use super::{breakdown, hosts, labels, sentences, services, startup};

/// Renders the text.
pub(super) fn render(data: &RunData, analysis: &Analysis, plots: &[Plot]) -> String {
    let mut text = format!("# {}\n\n{}\n", sentences::title(data), sentences::subtitle(data));
    let (red, amber): (Vec<_>, Vec<_>) = banners::banners(data, analysis)
        .into_iter()
        .partition(|banner| banner.tone == Tone::Red);
    notes(&mut text, "**PROBLEM**", &red);
    let _ = writeln!(text, "\n## Findings\n");
    for line in sentences::findings(data, analysis) {
        let _ = writeln!(text, "- {}", plain(&line));
    }
    notes(&mut text, "**Note**", &amber);
    for (workload, load) in sentences::groups(data) {
        let _ = writeln!(text, "\n## {}\n", sentences::group_title(data, &workload, &load));
        let cells: Vec<_> = analysis
            .cells
            .iter()
            .filter(|c| c.cell.workload == workload && c.cell.load == load)
            .collect();
        table(&mut text, &cells);
        for (nth, line) in sentences::packet_lines(data, &cells).iter().enumerate() {
            let _ = writeln!(text, "{}- {}", if nth == 0 { "\n" } else { "" }, plain(line));
        }
        tests(&mut text, &cells, analysis);
        let tables = [
            services::tables(data, &cells),
            labels::tables(data, &cells),
            breakdown::tables(data, &cells),
        ];
        for table in tables.concat() {
            text.push_str(&table.markdown(plain));
        }
        for plot in plots.iter().filter(|p| p.workload == workload && p.load == load) {
            let _ = writeln!(text, "\n![{}](plots/{}.svg)", plot.caption, plot.name);
        }
    }
    let run_tables = [
        startup::table(data, analysis),
        services::size_table(data, analysis),
        hosts::loader_table(data),
    ];
    for table in run_tables.iter().flatten() {
        text.push_str(&table.markdown(plain));
    }
    let _ = writeln!(text, "\n## Method\n");
    for line in sentences::method(data, analysis) {
        let _ = writeln!(text, "- {}", plain(&line));
    }
    let _ = writeln!(text, "\n## Hosts\n\n| | |\n|---|---|");
    for (name, value) in hosts::hosts(data) {
        let _ = writeln!(text, "| {} | {} |", plain(&name), plain(&value));
    }
    text
}

/// Banners with their lines.
fn notes(text: &mut String, mark: &str, banners: &[Banner]) {
    for banner in banners {
        let _ = write!(text, "\n> {mark}: {}\n>\n", plain(&banner.title));
        for line in &banner.lines {
            let _ = writeln!(text, "> - {}", plain(line));
        }
    }
}

fn table(text: &mut String, cells: &[&CellResult]) {
    let _ = write!(text, "| median over trials [95 % CI] |");
    for cell in cells {
        let _ = write!(text, " {} |", cell.cell.platform);
    }
    let _ = write!(text, "\n|---|{}\n| Trials (n) |", "---:|".repeat(cells.len()));
    for cell in cells {
        let _ = write!(text, " {} |", cell.n);
    }
    let _ = write!(text, "\n| Requests |");
    for cell in cells {
        let _ = write!(text, " {} |", count(cell.requests));
    }
    text.push('\n');
    for metric in shown_metrics(cells) {
        let _ = write!(text, "| {}, {} |", plain(&metric.title()), plain(metric.unit()));
        for cell in cells {
            let summary = cell.metric(&metric);
            let _ = write!(text, " {}", maybe(summary.and_then(|s| s.median)));
            if let Some(interval) = summary.and_then(|s| interval(s.median_interval)) {
                let _ = write!(text, " [{interval}]");
            }
            text.push_str(" |");
        }
        text.push('\n');
    }
}

fn tests(text: &mut String, cells: &[&CellResult], analysis: &Analysis) {
    let found: Vec<_> = analysis
        .comparisons
        .iter()
        .filter(|c| cells.iter().any(|cell| cell.cell == c.cell))
        .collect();
    if found.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "\n| compared with the baseline | metric | ratio of medians | 95 % CI | p (Holm) | Cliff's delta |"
    );
    let _ = writeln!(text, "|---|---|---:|---:|---:|---:|");
    for c in found {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {:+.2} {} |",
            c.cell.platform,
            plain(&c.metric.title()),
            number(c.ratio),
            interval(c.interval).unwrap_or_else(|| "– (n < 6)".to_owned()),
            p_value(c.p),
            c.delta,
            crate::stats::hypothesis::magnitude(c.delta)
        );
    }
}

/// Escapes text so that it cannot become a table border, a tag or a link.
fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => safe.push(' '),
            '|' | '<' | '>' | '[' | ']' | '`' | '*' | '\\' => {
                safe.push('\\');
                safe.push(c);
            }
            c => safe.push(c),
        }
    }
    safe
}
