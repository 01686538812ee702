//! The tables and figures of one workload under one load.

use std::fmt::Write;

use protocol::Name;

use super::analysis::{Analysis, CellResult, Comparison};
use super::format::{count, escape, interval, maybe, number, p_value};
use super::load::RunData;
use super::metric::Metric;
use super::packets;
use super::plots::Plot;
use super::table::Table;
use super::{by_label, by_service, where_it_went, words};
use crate::stats::rank;

/// A list.
pub(super) fn list(class: &str, lines: &[String]) -> String {
    let items: String = lines.iter().map(|l| format!("<li>{}</li>\n", escape(l))).collect();
    format!("<ul class=\"{class}\">\n{items}</ul>\n")
}

/// The section of a workload under a load.
pub(super) fn group(data: &RunData, analysis: &Analysis, plots: &[Plot], workload: &Name, load: &Name) -> String {
    let mine = |c: &&CellResult| c.cell.workload == *workload && c.cell.load == *load;
    let cells: Vec<_> = analysis.cells.iter().filter(mine).collect();
    let figures: String = plots
        .iter()
        .filter(|p| p.workload == *workload && p.load == *load)
        .map(figure)
        .collect();
    let more = [
        by_service::tables(data, &cells),
        by_label::tables(data, &cells),
        where_it_went::tables(data, &cells),
    ]
    .concat();
    let more: String = more.iter().map(Table::html).collect();
    format!(
        "<h2>{}</h2>\n{}{more}<div class=\"plots\">\n{figures}</div>\n",
        escape(&words::group_title(data, workload, load)),
        table(data, analysis, &cells) + &packets(data, &cells)
    )
}

/// Where packets were lost; nothing for other loads.
fn packets(data: &RunData, cells: &[&CellResult]) -> String {
    let lines = packets::lines(data, cells);
    if lines.is_empty() {
        String::new()
    } else {
        list("packets", &lines)
    }
}

fn figure(plot: &Plot) -> String {
    format!(
        "<figure>\n{}<figcaption>{}</figcaption>\n</figure>\n",
        plot.inline(),
        escape(&plot.caption)
    )
}

/// The metrics that some cell has values of: where nothing was sent there are no response times, and only packets can be reordered.
pub(super) fn shown(cells: &[&CellResult]) -> impl Iterator<Item = Metric> {
    let has = |metric: &Metric| {
        cells
            .iter()
            .any(|cell| cell.metric(*metric).is_some_and(|m| m.median.is_some()))
    };
    Metric::SHOWN.into_iter().filter(has)
}

/// Platforms side by side, each beside the baseline with its ratio to it.
fn table(data: &RunData, analysis: &Analysis, cells: &[&CellResult]) -> String {
    let baseline = &data.manifest.experiment.baseline;
    let mut html =
        "<div class=\"scroll\"><table>\n<thead><tr><th>Median over trials<small>95 % interval; mean ± SD</small></th>"
            .to_owned();
    for cell in cells {
        let role = if cell.cell.platform == *baseline {
            "baseline, "
        } else {
            ""
        };
        let _ = write!(
            html,
            "<th>{}<small>{role}n = {}</small></th>",
            cell.cell.platform, cell.n
        );
        if cell.cell.platform != *baseline {
            let _ = write!(
                html,
                "<th>ratio to {baseline}<small>95 % interval; p (Holm), effect</small></th>"
            );
        }
    }
    html.push_str("</tr></thead>\n<tbody>\n<tr><td>Requests<small>of which good</small></td>");
    for cell in cells {
        let _ = write!(
            html,
            "<td>{}<small>{}</small></td>",
            count(cell.requests),
            count(cell.ok)
        );
        if cell.cell.platform != *baseline {
            html.push_str("<td></td>");
        }
    }
    html.push_str("</tr>\n");
    for metric in shown(cells) {
        row(&mut html, analysis, cells, metric, baseline);
    }
    html.push_str("</tbody></table></div>\n");
    html
}

fn row(html: &mut String, analysis: &Analysis, cells: &[&CellResult], metric: Metric, baseline: &Name) {
    let _ = write!(html, "<tr><td>{}<small>{}</small></td>", metric.title(), metric.unit());
    for cell in cells {
        html.push_str(&value(cell, metric));
        if cell.cell.platform != *baseline {
            html.push_str(
                &analysis
                    .comparison(&cell.cell, metric)
                    .map_or_else(|| "<td></td>".to_owned(), ratio),
            );
        }
    }
    html.push_str("</tr>\n");
}

/// A small line below a figure; nothing where there is none, as below six trials.
fn small(text: Option<String>) -> String {
    text.map_or_else(String::new, |t| format!("<small>{t}</small>"))
}

fn value(cell: &CellResult, metric: Metric) -> String {
    let Some(summary) = cell.metric(metric) else {
        return "<td>–</td>".to_owned();
    };
    let interval = small(interval(summary.median_interval));
    let spread = match (summary.mean, summary.sd) {
        (Some(mean), Some(sd)) => format!("<small>{} ± {}</small>", number(mean), number(sd)),
        _ => String::new(),
    };
    format!("<td>{}{interval}{spread}</td>", maybe(summary.median))
}

fn ratio(c: &Comparison) -> String {
    let class = match c {
        c if c.p >= 0.05 => "",
        c if c.delta > 0.0 => "up",
        _ => "down",
    };
    let interval = small(interval(c.interval));
    format!(
        "<td><b class=\"{class}\">{}&nbsp;×</b>{interval}<small>p {}, {} ({:+.2})</small></td>",
        number(c.ratio),
        escape(&p_value(c.p)),
        rank::magnitude(c.delta),
        c.delta
    )
}
