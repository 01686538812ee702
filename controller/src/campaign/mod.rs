//! A whole run: the broker, the runner, every trial of the plan, and the report at the end.
//!
//! * `session` — the broker and the connection to the runner;
//! * `queue` — which trial comes next, pure;
//! * [`run()`] — the run itself, which ends whole or can be resumed from its journal.

mod band;
mod error;
pub mod queue;
mod session;
mod trials;

use std::path::{Path, PathBuf};

use protocol::Name;
use protocol::facts::HostFacts;
use protocol::load::MachineFacts;
use tokio_util::sync::CancellationToken;
use tracing::info;

pub use error::CampaignError;
pub use session::{Session, bus_config};

use crate::config::{Experiment, Platform};
use crate::plan::Plan;
use crate::preflight;
use crate::preflight::cpus::Generator;
use crate::progress::Progress;
use analysis::report::{self, ReportPaths};
use analysis::store::journal::{Entry, JournalEvent, RunEnded};
use analysis::store::{Journal, LoaderMachine, Manifest, Preflight, RunFolder, Source};
use trials::{Ended, Trials};

/// What a run needs besides the experiment.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file that the experiment was read from.
    pub source: Source,
    /// The folder of an earlier run to go on with.
    pub resume: Option<PathBuf>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Finished {
    /// Its folder.
    pub folder: PathBuf,
    /// Its reports.
    pub reports: ReportPaths,
    /// Trials that count.
    pub done: usize,
    /// Trials that never became valid.
    pub given_up: usize,
    /// Whether the user ended it early; it can be resumed.
    pub interrupted: bool,
}

/// Runs an experiment, or goes on with it, until all is done or `shutdown` is cancelled.
///
/// # Errors
/// See [`CampaignError`]. What was measured until then is kept, and `--resume` goes on.
pub async fn run(
    experiment: &Experiment,
    plan: Plan,
    options: &Options,
    progress: &Progress,
    shutdown: &CancellationToken,
) -> Result<Finished, CampaignError> {
    let mut session = Session::open(experiment).await?;
    let facts = session.describe(experiment, shutdown).await?;
    let loaders = session.muster(experiment, shutdown).await?;
    let preflight = preflight(experiment, &facts, &loaders, progress)?;
    let (plan, opened) = match &options.resume {
        Some(path) => resume(experiment, plan, options, &facts, path)?,
        None => begin(experiment, plan, options, (&facts, loaders), preflight, progress)?,
    };
    let Opened {
        folder,
        manifest,
        mut journal,
        entries,
    } = opened;
    info!(folder = %folder.path().display(), "results");
    let mut trials = Trials::new(experiment, &plan, &folder, &manifest, &entries, &facts);
    if options.resume.is_some() {
        progress.resumed(trials.settled());
    }
    let ended = trials.all(&mut session, &mut journal, progress, shutdown).await;
    close(&mut journal, &ended)?;
    session.close().await;
    let ended = ended?;
    let reports = report::rebuild(folder.path())?;
    Ok(Finished {
        folder: folder.path().to_owned(),
        reports,
        done: ended.done,
        given_up: ended.given_up,
        interrupted: ended.interrupted,
    })
}

/// A run's folder, open.
struct Opened {
    folder: RunFolder,
    manifest: Manifest,
    journal: Journal,
    entries: Vec<Entry>,
}

/// Holds the host against `[host]`, and says what is waived.
fn preflight(
    experiment: &Experiment,
    facts: &HostFacts,
    loaders: &[MachineFacts],
    progress: &Progress,
) -> Result<Preflight, CampaignError> {
    let here = loader::facts::read(None).boot_id;
    let preflight =
        preflight::check(experiment, facts, &Generator::of(experiment, here, loaders)).map_err(|unmet| {
            let host = facts.host.clone();
            CampaignError::Host { host, unmet }
        })?;
    preflight.waived.iter().for_each(|line| progress.note(line));
    Ok(preflight)
}

/// A new run, without the optional platforms that cannot be used.
fn begin(
    experiment: &Experiment,
    plan: Plan,
    options: &Options,
    (facts, loaders): (&HostFacts, Vec<MachineFacts>),
    preflight: Preflight,
    progress: &Progress,
) -> Result<(Plan, Opened), CampaignError> {
    let (plan, left_out) = session::usable(experiment, plan, facts, |platform| !platform.optional)?;
    left_out.iter().for_each(|line| progress.note(line));
    let planned = trials::planned(experiment, &plan);
    let mut manifest = Manifest::new(experiment.into(), options.source.clone(), planned, vec![facts.clone()]);
    let taking_part = |name: &Name| manifest.plan.iter().any(|planned| planned.trial.cell.platform == *name);
    let record = &manifest.experiment;
    let platforms: Vec<_> = record
        .platforms
        .iter()
        .filter(|platform| taking_part(&platform.name))
        .cloned()
        .collect();
    if let (Some(first), false) = (platforms.first(), taking_part(&record.baseline)) {
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
        Opened {
            folder,
            manifest,
            journal,
            entries: vec![],
        },
    ))
}

/// An earlier run, with the platforms that took part when it began, no more and no fewer.
fn resume(
    experiment: &Experiment,
    mut plan: Plan,
    options: &Options,
    facts: &HostFacts,
    path: &Path,
) -> Result<(Plan, Opened), CampaignError> {
    let manifest = RunFolder::at(path).manifest()?;
    session::same_experiment(&manifest, experiment, &options.source)?;
    let takes_part = |platform: &Platform| manifest.experiment.platforms.iter().any(|p| p.name == platform.name);
    for (index, platform) in experiment.platforms.iter().enumerate() {
        if !takes_part(platform) {
            plan = plan.without_platform(index);
        }
    }
    let (plan, _) = session::usable(experiment, plan, facts, takes_part)?;
    let (folder, manifest, journal, entries) = RunFolder::resume(path)?;
    Ok((
        plan,
        Opened {
            folder,
            manifest,
            journal,
            entries,
        },
    ))
}

/// The journal's last line says how it ended, even where it ended badly.
fn close(journal: &mut Journal, ended: &Result<Ended, CampaignError>) -> Result<(), CampaignError> {
    let why = |why: &str| RunEnded { why: why.to_owned() };
    let event = match ended {
        Ok(Ended { interrupted: true, .. }) => JournalEvent::RunInterrupted(why("the user ended it")),
        Ok(_) => JournalEvent::RunFinished(why("every trial is done or its attempts are used up")),
        Err(error) => JournalEvent::RunInterrupted(RunEnded { why: error.to_string() }),
    };
    match journal.append(event) {
        // A full disk is what ended the run: that is the error to tell.
        Err(_) if ended.is_err() => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}
