//! The report of a run: a pure function of its raw data, rebuilt offline by `controller report <run>`.
//!
//! ```text
//! load      manifest, journal and attempts, checked against their sums and against each other   -> RunData
//! merge     every valid trial's requests into <platform>.jtl, streamed; counted on the way
//! figures   per cell and metric: all values, mean, SD, median, intervals; comparisons           -> Analysis
//! json      <platform>.json       markdown  report.md
//! svg, plots   plots/*.svg        html      report.html
//! ```

mod analysis;
mod banners;
mod by_label;
mod by_service;
mod course;
mod error;
mod figures;
pub(crate) mod format;
mod hosts;
mod html;
mod html_parts;
mod json;
mod load;
mod loaders;
mod markdown;
mod merge;
mod metric;
mod packets;
mod plots;
mod sizes;
mod startup;
mod svg;
mod table;
#[cfg(test)]
pub(crate) mod tests;
mod verify;
mod where_it_went;
mod words;

use std::path::{Path, PathBuf};

pub use error::ReportError;
pub use figures::{Figure, RunFigures, figures};
pub use json::{MetricResult, PlatformResults};
pub use metric::Metric;

use crate::store::{RunFolder, atomic};

/// Where a report was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportPaths {
    /// `report.html`.
    pub html: PathBuf,
    /// `report.md`.
    pub markdown: PathBuf,
    /// `plots/*.svg`.
    pub plots: Vec<PathBuf>,
    /// `<platform>.json`.
    pub json: Vec<PathBuf>,
    /// `<platform>.jtl`.
    pub jtl: Vec<PathBuf>,
    /// What was found altered, missing or contradictory; the report says it too. Empty: all raw data is as it was written.
    pub problems: Vec<String>,
}

/// Rebuilds everything that follows from the raw data of a run. The same data gives the same bytes.
///
/// Raw data that is not what it was is reported, not refused: the attempt concerned does not count, and the report says so in red.
///
/// # Errors
/// [`ReportError`]: the manifest or the journal cannot be read, or the report not be written.
pub fn rebuild(run: &Path) -> Result<ReportPaths, ReportError> {
    let folder = RunFolder::at(run);
    let mut data = load::load(&folder)?;
    let jtl = merge::merge(&mut data)?;
    let analysis = analysis::analyse(&data);
    let mut paths = ReportPaths {
        html: run.join("report.html"),
        markdown: run.join("report.md"),
        plots: Vec::new(),
        json: Vec::new(),
        jtl,
        problems: data.problems.clone(),
    };
    for (name, results) in json::platforms(&data, &analysis) {
        let path = run.join(json::file_name(&name, "json"));
        atomic::write_json(&path, &results)?;
        paths.json.push(path);
    }
    let plots = plots::draw(&data, &analysis);
    let plot_folder = run.join("plots");
    std::fs::create_dir_all(&plot_folder).map_err(|source| ReportError::folder(&plot_folder, source))?;
    for plot in &plots {
        let path = plot_folder.join(format!("{}.svg", plot.name));
        atomic::write(&path, plot.standalone().as_bytes())?;
        paths.plots.push(path);
    }
    atomic::write(&paths.markdown, markdown::render(&data, &analysis, &plots).as_bytes())?;
    atomic::write(&paths.html, html::render(&data, &analysis, &plots).as_bytes())?;
    Ok(paths)
}
