//! `report.html`: one file that needs nothing else, light and dark.

use super::analysis::Analysis;
use super::banners::{self, Banner, Tone};
use super::format::escape;
use super::hosts;
use super::html_parts::{group, list};
use super::load::RunData;
use super::plots::Plot;
use super::svg::PALETTE;
use super::words;
use super::{loaders, sizes, startup};

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
.up{color:#c44e00}.down{color:#00805c}@media (prefers-color-scheme:dark){.up{color:#f5914d}.down{color:#3fc79a}}\
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:26px;margin-top:22px}figure{margin:0}figure svg{width:100%;height:auto;display:block}\
figcaption{color:var(--soft);font-size:13px;margin-top:4px}.findings{font-size:17px;padding-left:22px}.findings li{margin:4px 0}\
pre{overflow:auto;background:color-mix(in srgb,var(--soft) 10%,var(--paper));padding:12px;border-radius:4px;font-size:13px}\
@media print{main{max-width:none;padding:0}figure,table,.banner{break-inside:avoid}}";

/// The whole page.
pub(super) fn render(data: &RunData, analysis: &Analysis, plots: &[Plot]) -> String {
    let title = escape(&words::title(data));
    let (red, amber): (Vec<_>, Vec<_>) = banners::banners(data, analysis)
        .into_iter()
        .partition(|banner| banner.tone == Tone::Red);
    let [red, amber]: [String; 2] = [red, amber].map(|banners| banners.iter().map(banner).collect());
    let groups: String = words::groups(data)
        .iter()
        .map(|(w, l)| group(data, analysis, plots, w, l))
        .collect();
    let hosts: String = hosts::hosts(data)
        .iter()
        .map(|(name, value)| format!("<tr><td>{}</td><td>{}</td></tr>\n", escape(name), escape(value)))
        .collect();
    let of_the_run: String = [
        startup::table(data, analysis),
        sizes::table(data, analysis),
        loaders::table(data),
    ]
    .iter()
    .flatten()
    .map(|table| table.html().replacen("<h3>", "<h2>", 1).replacen("</h3>", "</h2>", 1))
    .collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>{PALETTE}\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n\
         <p class=\"sub\">{}</p>\n{red}<h2>Findings</h2>\n{}{amber}{groups}{of_the_run}<h2>How it was measured</h2>\n{}\
         <h2>Hosts and programs</h2>\n<div class=\"scroll\"><table class=\"key\">\n{hosts}</table></div>\n\
         <h2>The experiment's file</h2>\n<pre>{}</pre>\n</main>\n</body>\n</html>\n",
        escape(&words::subtitle(data)),
        list("findings", &words::findings(data, analysis)),
        list("method", &words::method(data, analysis)),
        escape(&data.manifest.source.text),
    )
}

/// One line that opens to its details: a reader sees the results first.
fn banner(banner: &Banner) -> String {
    let tone = if banner.tone == Tone::Red { "red" } else { "amber" };
    format!(
        "<details class=\"banner {tone}\"><summary>{}</summary>{}</details>\n",
        escape(&banner.title),
        list("", &banner.lines)
    )
}
