//! `report.html`: a self-contained page with light and dark themes.

use std::fmt::Write;

use protocol::Name;
use protocol::load::Better;

use super::analysis::{Analysis, CellResult, Comparison, shown_metrics};
use super::banners::{self, Banner, Tone};
use super::format::{Table, count, escape, interval, maybe, number, p_value};
use super::load::RunData;
use super::metric::Metric;
use super::plots::Plot;
use super::svg::PALETTE;
use super::{breakdown, hosts, labels, sentences, services, startup};
use crate::stats::hypothesis;

const STYLE: &str = "\
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif}\
main{max-width:1180px;margin:0 auto;padding:32px 24px 64px}h1{font-size:30px;line-height:1.2;margin:0 0 6px;letter-spacing:-.01em}\
h2{font-size:21px;margin:44px 0 12px;padding-top:14px;border-top:1px solid var(--line)}h3{font-size:16px;margin:24px 0 6px}\
.sub{color:var(--soft);margin:0 0 20px}.banner{border-left:5px solid;border-radius:4px;padding:6px 16px;margin:6px 0}\
.banner summary{font-weight:600;cursor:pointer}.banner ul{margin:4px 0 0;padding-left:20px;font-size:14px}\
.red{border-color:#c62828;background:color-mix(in srgb,#c62828 13%,var(--paper))}.amber{border-color:#b26a00;background:color-mix(in srgb,#e09000 13%,var(--paper))}\
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:14.5px;min-width:420px}\
th,td{padding:6px 14px 6px 0;text-align:right;border-bottom:1px solid var(--line);vertical-align:top;white-space:nowrap}\
th:first-child,td:first-child{text-align:left}thead th{border-bottom:2px solid var(--soft)}td small,th small{color:var(--soft);font-weight:400;display:block;font-size:12.5px}\
.key td:last-child{text-align:left;white-space:normal}.key td:first-child{color:var(--soft)}\
.worse{color:#c44e00}.better{color:#00805c}@media (prefers-color-scheme:dark){.worse{color:#f5914d}.better{color:#3fc79a}}\
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:26px;margin-top:22px}figure{margin:0}figure svg{width:100%;height:auto;display:block}\
figcaption{color:var(--soft);font-size:13px;margin-top:4px}.findings{font-size:17px;padding-left:22px}.findings li{margin:4px 0}\
pre{overflow:auto;background:color-mix(in srgb,var(--soft) 10%,var(--paper));padding:12px;border-radius:4px;font-size:13px}\
@media print{main{max-width:none;padding:0}figure,table,.banner{break-inside:avoid}}";

/// Renders the page.
pub(super) fn render(data: &RunData, analysis: &Analysis, plots: &[Plot]) -> String {
    let title = escape(&sentences::title(data));
    let (red, amber): (Vec<_>, Vec<_>) = banners::banners(data, analysis)
        .into_iter()
        .partition(|banner| banner.tone == Tone::Red);
    let [red, amber]: [String; 2] = [red, amber].map(|banners| banners.iter().map(banner).collect());
    let groups: String = sentences::groups(data)
        .iter()
        .map(|(w, l)| group(data, analysis, plots, w, l))
        .collect();
    let hosts: String = hosts::hosts(data)
        .iter()
        .map(|(name, value)| format!("<tr><td>{}</td><td>{}</td></tr>\n", escape(name), escape(value)))
        .collect();
    let run_tables: String = [
        startup::table(data, analysis),
        services::size_table(data, analysis),
        hosts::loader_table(data),
    ]
    .iter()
    .flatten()
    .map(|table| table.html().replacen("<h3>", "<h2>", 1).replacen("</h3>", "</h2>", 1))
    .collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>{PALETTE}\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n\
         <p class=\"sub\">{}</p>\n{red}<h2>Findings</h2>\n{}{amber}{groups}{run_tables}<h2>Method</h2>\n{}\
         <h2>Hosts and programs</h2>\n<div class=\"scroll\"><table class=\"key\">\n{hosts}</table></div>\n\
         <h2>Experiment file</h2>\n<pre>{}</pre>\n</main>\n</body>\n</html>\n",
        escape(&sentences::subtitle(data)),
        list("findings", &sentences::findings(data, analysis)),
        list("method", &sentences::method(data, analysis)),
        escape(&data.manifest.source.text),
    )
}

/// A banner, collapsed so that the results come first.
fn banner(banner: &Banner) -> String {
    let tone = if banner.tone == Tone::Red { "red" } else { "amber" };
    format!(
        "<details class=\"banner {tone}\"><summary>{}</summary>{}</details>\n",
        escape(&banner.title),
        list("", &banner.lines)
    )
}

/// A list.
fn list(class: &str, lines: &[String]) -> String {
    let items: String = lines.iter().map(|l| format!("<li>{}</li>\n", escape(l))).collect();
    format!("<ul class=\"{class}\">\n{items}</ul>\n")
}

/// The section of a workload and load.
fn group(data: &RunData, analysis: &Analysis, plots: &[Plot], workload: &Name, load: &Name) -> String {
    let in_group = |c: &&CellResult| c.cell.workload == *workload && c.cell.load == *load;
    let cells: Vec<_> = analysis.cells.iter().filter(in_group).collect();
    let figures: String = plots
        .iter()
        .filter(|p| p.workload == *workload && p.load == *load)
        .map(figure)
        .collect();
    let more = [
        services::tables(data, &cells),
        labels::tables(data, &cells),
        breakdown::tables(data, &cells),
    ]
    .concat();
    let more: String = more.iter().map(Table::html).collect();
    format!(
        "<h2>{}</h2>\n{}{more}<div class=\"plots\">\n{figures}</div>\n",
        escape(&sentences::group_title(data, workload, load)),
        table(data, analysis, &cells) + &packets(data, &cells)
    )
}

/// Packet loss by location; empty for other loads.
fn packets(data: &RunData, cells: &[&CellResult]) -> String {
    let lines = sentences::packet_lines(data, cells);
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

/// All platforms in columns, each followed by its ratio to the baseline.
fn table(data: &RunData, analysis: &Analysis, cells: &[&CellResult]) -> String {
    let baseline = &data.manifest.experiment.baseline;
    let mut html =
        "<div class=\"scroll\"><table>\n<thead><tr><th>Median over trials<small>95 % CI; mean ± SD</small></th>"
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
                "<th>ratio to {baseline}<small>95 % CI; p (Holm), effect size</small></th>"
            );
        }
    }
    html.push_str("</tr></thead>\n<tbody>\n<tr><td>Requests<small>of which successful</small></td>");
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
    for metric in shown_metrics(cells) {
        row(&mut html, analysis, cells, &metric, baseline);
    }
    html.push_str("</tbody></table></div>\n");
    html
}

fn row(html: &mut String, analysis: &Analysis, cells: &[&CellResult], metric: &Metric, baseline: &Name) {
    let (title, unit) = (metric.title(), metric.unit());
    let _ = write!(html, "<tr><td>{}<small>{}</small></td>", escape(&title), escape(unit));
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

/// A small line below a figure; empty if there is none, e.g. an interval of fewer than six trials.
fn small(text: Option<String>) -> String {
    text.map_or_else(String::new, |t| format!("<small>{t}</small>"))
}

fn value(cell: &CellResult, metric: &Metric) -> String {
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
        c if c.metric.better() == Better::Neither => "",
        c if (c.delta > 0.0) == (c.metric.better() == Better::Lower) => "worse",
        _ => "better",
    };
    let interval = small(interval(c.interval));
    format!(
        "<td><b class=\"{class}\">{}&nbsp;×</b>{interval}<small>p {}, {} ({:+.2})</small></td>",
        number(c.ratio),
        escape(&p_value(c.p)),
        hypothesis::magnitude(c.delta),
        c.delta
    )
}
