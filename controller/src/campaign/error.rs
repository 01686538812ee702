//! Why a run ended early.

use std::path::PathBuf;
use std::time::Duration;

use broker::{StartError, StorageError};
use protocol::Name;
use protocol::bus::BusError;

use crate::peer::link::LinkError;
use analysis::report::ReportError;
use analysis::store::StoreError;

/// Why a run ended early. Finished attempts are kept.
#[derive(Debug, thiserror::Error)]
pub enum CampaignError {
    /// The embedded broker cannot be started.
    #[error("the embedded broker cannot be started: {0}: free the address or set `listen` in [kafka]")]
    Broker(StartError),
    /// The embedded broker cannot store its data.
    #[error(
        "the embedded broker cannot be started: {0}: free space or make the directory writable, or set `data` in [kafka]"
    )]
    BrokerFiles(StorageError),
    /// Kafka is not usable.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The runner or a loader did not answer, or refused a command.
    #[error(transparent)]
    Runner(#[from] LinkError),
    /// A required platform is unavailable on the runner's host.
    #[error("{}", platforms.join("\n"))]
    Unmet {
        /// One line per platform: what is missing, and the remedy.
        platforms: Vec<String>,
    },
    /// The host does not meet `[host]`.
    #[error(
        "host {host} does not meet the requirements:\n{}\nto accept a deviation, add its key to waive = [\"...\"] in [host]; the report will show it",
        unmet.join("\n")
    )]
    Host {
        /// The host.
        host: Name,
        /// One line per requirement: the setting, the actual value, and the remedy.
        unmet: Vec<String>,
    },
    /// The host did not come within the limits of `[band]`, and the experiment then ends the run.
    #[error(
        "the host exceeded the limits of [band] for {} s: {}: stop other activity on it and continue with --resume, or raise `deadline` in [band]",
        waited.as_secs(), exceeded.join("; ")
    )]
    NotSettled {
        /// Duration of the wait.
        waited: Duration,
        /// The exceeded limits.
        exceeded: Vec<String>,
    },
    /// The signing key cannot be read.
    #[error("key file {path}: {why}", path = path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The cause.
        why: String,
    },
    /// Results cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The report cannot be created.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The run to be resumed belongs to another experiment file.
    #[error("{run} was started with a different {file}: resume it with the original file, or start a new run")]
    OtherExperiment {
        /// The run.
        run: String,
        /// The experiment file.
        file: String,
    },
    /// Signal handlers cannot be installed.
    #[error("signal handlers cannot be installed: {0}")]
    Signals(std::io::Error),
    /// The user interrupted the run before the first trial.
    #[error("interrupted before the first trial")]
    Interrupted,
}
