//! What the program's commands do once the experiment is checked: run it, ask about the host, or ping its runner.

mod host;
mod ping;

use std::path::{Path, PathBuf};

use tracing::info;

use crate::campaign::{self, CampaignError, Finished, Options};
use crate::config::{Brokers, Checked, Experiment};
use crate::exit::Exit;
use crate::plan::Plan;
use crate::progress::Progress;
use analysis::store::Source;
use loader::shutdown::on_signals;

pub use host::{HostCheck, check_host};
pub use ping::{RoundTrips, ping};

/// What the first signal does.
const ON_SIGNAL: &str = "the trial is stopped and the run can be resumed; a second signal ends at once";

/// Runs an experiment from its file, or goes on with an earlier run, and shows how it went. Ctrl-C ends it after the attempt is stopped.
///
/// # Errors
/// See [`CampaignError`]; [`exit_of`] has the exit code.
pub async fn run(
    Checked { experiment, text, .. }: &Checked,
    file: &Path,
    resume: Option<&Path>,
    progress: &Progress,
) -> Result<Exit, CampaignError> {
    let options = Options {
        source: Source::of(file, text),
        resume: resume.map(|run| folder_of(experiment, run)),
    };
    let shutdown = on_signals(ON_SIGNAL).map_err(CampaignError::Signals)?;
    info!("{}", introduction(experiment));
    let finished = campaign::run(experiment, Plan::new(experiment), &options, progress, &shutdown).await?;
    progress.finish(&closing(&finished));
    Ok(match finished {
        Finished { interrupted: true, .. } => Exit::Interrupted,
        Finished { given_up: 1.., .. } => Exit::Trials,
        _ => Exit::Ok,
    })
}

/// The exit code of an error.
#[must_use]
pub const fn exit_of(error: &CampaignError) -> Exit {
    match error {
        CampaignError::Broker(_) | CampaignError::Bus(_) => Exit::Broker,
        CampaignError::Runner(crate::conduct::link::LinkError::Bus(_)) => Exit::Broker,
        CampaignError::Runner(_) => Exit::Runner,
        CampaignError::Unmet { .. } => Exit::Unmet,
        CampaignError::Host { .. } | CampaignError::OutOfBand { .. } => Exit::Host,
        CampaignError::Key { .. } | CampaignError::OtherExperiment { .. } => Exit::Config,
        CampaignError::Store(_) | CampaignError::Report(_) | CampaignError::BrokerFiles(_) => Exit::Results,
        CampaignError::Signals(_) => Exit::Internal,
        CampaignError::Interrupted => Exit::Interrupted,
    }
}

/// A run is named by its folder, or by its name within the experiment's results.
fn folder_of(experiment: &Experiment, run: &Path) -> PathBuf {
    if run.is_dir() {
        run.to_owned()
    } else {
        experiment.results.join(experiment.name.as_str()).join(run)
    }
}

fn introduction(experiment: &Experiment) -> String {
    let broker = match &experiment.kafka.brokers {
        Brokers::Embedded(embedded) => format!("an embedded broker at {}", embedded.listen),
        Brokers::External(brokers) => format!("the Kafka at {brokers}"),
    };
    format!(
        "experiment {}: waiting for the runner of host {} over {broker} (at most {} s)",
        experiment.name,
        experiment.host,
        experiment.deadlines.runner.as_secs()
    )
}

fn closing(finished: &Finished) -> String {
    let Finished {
        folder,
        reports,
        done,
        given_up,
        interrupted,
    } = finished;
    let count = match given_up {
        0 => format!("{done} trials done"),
        _ => format!("{done} trials done, {given_up} given up (see the report for the reasons)"),
    };
    let end = if *interrupted {
        format!("interrupted; resume with: controller --resume {}", folder.display())
    } else {
        "finished".to_owned()
    };
    format!(
        "{end}: {count}\nresults: {}\nreport:  {}",
        folder.display(),
        reports.html.display()
    )
}
