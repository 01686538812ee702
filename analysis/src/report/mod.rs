//! The report of a run: a pure function of its raw data, rebuilt offline by `controller report <run>`.
//!
//! ```text
//! load      manifest, journal and attempts, verified against checksums and each other           -> RunData
//! merge     requests of every valid trial -> <platform>.jtl
//! analysis  per cell and metric: values, mean, SD, median, confidence intervals; comparisons    -> Analysis
//! json      <platform>.json       markdown  report.md
//! svg, plots   plots/*.svg        html      report.html
//! ```

mod analysis;
mod banners;
mod breakdown;
pub(crate) mod format;
mod hosts;
mod html;
mod json;
mod labels;
mod load;
mod markdown;
mod merge;
mod metric;
mod plots;
mod profile;
mod sentences;
mod services;
mod startup;
mod svg;
#[cfg(test)]
pub(crate) mod tests;

use std::path::{Path, PathBuf};

pub use analysis::{Figure, RunFigures, figures};
pub use json::{MetricResult, PlatformResults};
pub use load::ReportError;
pub use metric::Metric;

use crate::store::{At as _, RunFolder, atomic};

/// The paths of a report.
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
    /// What was altered, missing or inconsistent; the report shows it too.
    pub problems: Vec<String>,
}

/// Regenerates all derived files of a run. The same raw data gives the same bytes.
///
/// Altered raw data is reported, not refused: the attempt is excluded, and the report says so in red.
///
/// # Errors
/// [`ReportError`]: the manifest or the journal cannot be read, or the report cannot be written.
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
    std::fs::create_dir_all(&plot_folder).at(&plot_folder, "create the directory")?;
    for plot in &plots {
        let path = plot_folder.join(format!("{}.svg", plot.name));
        atomic::write(&path, plot.standalone().as_bytes())?;
        paths.plots.push(path);
    }
    atomic::write(&paths.markdown, markdown::render(&data, &analysis, &plots).as_bytes())?;
    atomic::write(&paths.html, html::render(&data, &analysis, &plots).as_bytes())?;
    Ok(paths)
}
