//! A run from its start or resumption to its report.

use std::path::{Path, PathBuf};

use protocol::Name;
use protocol::facts::HostFacts;
use protocol::load::MachineFacts;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::error::CampaignError;
use super::session::{self, Session};
use super::trials::{self, Totals, Trials};
use crate::config::{Experiment, Platform};
use crate::plan::Plan;
use crate::preflight;
use crate::preflight::generator::GeneratorHost;
use crate::progress::Progress;
use analysis::report::{self, ReportPaths};
use analysis::store::journal::{Entry, JournalEvent, RunEnded};
use analysis::store::{CellKey, Journal, LoaderMachine, Manifest, Preflight, RunFolder, Source};

/// The inputs of a run besides the experiment.
#[derive(Clone, Debug)]
pub struct Options {
    /// The experiment file.
    pub source: Source,
    /// The directory of a run to resume.
    pub resume: Option<PathBuf>,
}

/// The result of a run.
#[derive(Debug)]
pub struct Finished {
    /// The run's directory.
    pub folder: PathBuf,
    /// The report.
    pub reports: ReportPaths,
    /// Trials with a valid attempt.
    pub done: usize,
    /// Trials that used up their attempts.
    pub given_up: usize,
    /// Whether the user interrupted the run; it can be resumed.
    pub interrupted: bool,
}

/// Runs or resumes an experiment until it is complete or `shutdown` is cancelled.
///
/// # Errors
/// See [`CampaignError`]. Finished attempts are kept, and `--resume` continues.
pub async fn run(
    experiment: &Experiment,
    plan: Plan,
    options: &Options,
    progress: &Progress,
    shutdown: &CancellationToken,
) -> Result<Finished, CampaignError> {
    let mut session = Session::open(experiment, shutdown).await?;
    let facts = session.describe(experiment, shutdown).await?;
    let loaders = session.describe_loaders(experiment, shutdown).await?;
    let preflight = preflight(experiment, &facts, &loaders, progress)?;
    let (plan, open) = match &options.resume {
        Some(path) => resume(experiment, plan, options, &facts, path)?,
        None => start(experiment, plan, options, (&facts, loaders), preflight, progress)?,
    };
    let OpenRun {
        folder,
        manifest,
        mut journal,
        entries,
    } = open;
    info!(folder = %folder.path().display(), "results");
    let mut trials = Trials::new(experiment, &plan, &folder, &manifest, &entries, &facts);
    if options.resume.is_some() {
        progress.resumed(trials.completed());
    }
    let totals = trials.run_all(&mut session, &mut journal, progress, shutdown).await;
    close(&mut journal, &totals)?;
    session.close().await;
    let totals = totals?;
    let reports = report::rebuild(folder.path())?;
    Ok(Finished {
        folder: folder.path().to_owned(),
        reports,
        done: totals.done,
        given_up: totals.given_up,
        interrupted: totals.interrupted,
    })
}

/// An open run directory.
struct OpenRun {
    folder: RunFolder,
    manifest: Manifest,
    journal: Journal,
    entries: Vec<Entry>,
}

/// Compares the host with `[host]`, and reports what is waived.
fn preflight(
    experiment: &Experiment,
    facts: &HostFacts,
    loaders: &[MachineFacts],
    progress: &Progress,
) -> Result<Preflight, CampaignError> {
    let here = loader::facts::read(None).boot_id;
    let preflight =
        preflight::check(experiment, facts, &GeneratorHost::of(experiment, here, loaders)).map_err(|unmet| {
            let host = facts.host.clone();
            CampaignError::Host { host, unmet }
        })?;
    preflight.waived.iter().for_each(|line| progress.note(line));
    Ok(preflight)
}

/// A new run, without the optional platforms that are unavailable.
fn start(
    experiment: &Experiment,
    plan: Plan,
    options: &Options,
    (facts, loaders): (&HostFacts, Vec<MachineFacts>),
    preflight: Preflight,
    progress: &Progress,
) -> Result<(Plan, OpenRun), CampaignError> {
    let (plan, left_out) = session::usable_plan(experiment, plan, facts, |platform| !platform.optional)?;
    left_out.iter().for_each(|line| progress.note(line));
    let planned = trials::planned(experiment, &plan);
    let mut manifest = Manifest::new(experiment.into(), options.source.clone(), planned, vec![facts.clone()]);
    let is_planned = |name: &Name| manifest.plan.iter().any(|planned| planned.trial.cell.platform == *name);
    let record = &manifest.experiment;
    let platforms: Vec<_> = record
        .platforms
        .iter()
        .filter(|platform| is_planned(&platform.name))
        .cloned()
        .collect();
    if let (Some(first), false) = (platforms.first(), is_planned(&record.baseline)) {
        manifest.experiment.baseline = first.name.clone();
    }
    manifest.experiment.platforms = platforms;
    manifest.loaders = experiment
        .loaders
        .iter()
        .cloned()
        .zip(loaders)
        .map(LoaderMachine::from)
        .collect();
    manifest.left_out = left_out;
    manifest.preflight = preflight;
    let (folder, journal) = RunFolder::create(&experiment.results, &mut manifest)?;
    Ok((
        plan,
        OpenRun {
            folder,
            manifest,
            journal,
            entries: vec![],
        },
    ))
}

/// Resumes a run with the platforms that it was started with.
fn resume(
    experiment: &Experiment,
    mut plan: Plan,
    options: &Options,
    facts: &HostFacts,
    path: &Path,
) -> Result<(Plan, OpenRun), CampaignError> {
    let manifest = RunFolder::at(path).manifest()?;
    session::check_same_experiment(&manifest, experiment, &options.source)?;
    let takes_part = |platform: &Platform| manifest.experiment.platforms.iter().any(|p| p.name == platform.name);
    for (index, platform) in experiment.platforms.iter().enumerate() {
        if !takes_part(platform) {
            plan = plan.without_platform(index);
        }
    }
    // Cells of services that could not run were left out when the run began.
    for (p, platform) in experiment.platforms.iter().enumerate() {
        for (w, workload) in experiment.workloads.iter().enumerate() {
            let is_planned = |cell: &CellKey| cell.platform == platform.name && cell.workload == workload.name;
            if !manifest.plan.iter().any(|planned| is_planned(&planned.trial.cell)) {
                plan = plan.without_workload(p, w);
            }
        }
    }
    let (plan, _) = session::usable_plan(experiment, plan, facts, takes_part)?;
    let (folder, manifest, journal, entries) = RunFolder::resume(path)?;
    Ok((
        plan,
        OpenRun {
            folder,
            manifest,
            journal,
            entries,
        },
    ))
}

/// Records in the journal how the run ended.
fn close(journal: &mut Journal, totals: &Result<Totals, CampaignError>) -> Result<(), CampaignError> {
    let reason = |why: &str| RunEnded { why: why.to_owned() };
    let event = match totals {
        Ok(Totals { interrupted: true, .. }) => JournalEvent::RunInterrupted(reason("interrupted by the user")),
        Ok(_) => JournalEvent::RunFinished(reason("every trial is complete or has used up its attempts")),
        Err(error) => JournalEvent::RunInterrupted(RunEnded { why: error.to_string() }),
    };
    match journal.append(event) {
        // If a full disk ended the run, the original error is the one to report.
        Err(_) if totals.is_err() => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}
