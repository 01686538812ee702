//! Why a run ends early.

use std::path::PathBuf;
use std::time::Duration;

use broker::{StartError, StorageError};
use protocol::Name;
use protocol::bus::BusError;

use crate::conduct::link::LinkError;
use analysis::report::ReportError;
use analysis::store::StoreError;

/// Why a run ends early. What was measured until then is kept.
#[derive(Debug, thiserror::Error)]
pub enum CampaignError {
    /// The broker of our own cannot be started.
    #[error("the embedded broker cannot be started: {0}: free the address or set `listen` in [kafka]")]
    Broker(StartError),
    /// The broker of our own cannot keep its files.
    #[error(
        "the embedded broker cannot be started: {0}: make room or give the right to write there, or set `data` in [kafka]"
    )]
    BrokerFiles(StorageError),
    /// The bus does not carry.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The runner cannot be talked to.
    #[error(transparent)]
    Runner(#[from] LinkError),
    /// A platform cannot be used on the runner's host.
    #[error("{}", platforms.join("\n"))]
    Unmet {
        /// One line a platform: what is missing, and the remedy.
        platforms: Vec<String>,
    },
    /// The host is not what `[host]` requires.
    #[error(
        "host {host} is not as required:\n{}\nwhat cannot be mended can be accepted by its key: waive = [\"...\"] in [host]; the report then says so",
        unmet.join("\n")
    )]
    Host {
        /// The host.
        host: Name,
        /// One line each: what is required, what was found, what mends it.
        unmet: Vec<String>,
    },
    /// The host does not calm down, and `[band]` says that the run then ends.
    #[error(
        "the host did not come back in band within {} s: {}: stop what disturbs it and continue with --resume, or raise `deadline` in [band]",
        waited.as_secs(), outside.join("; ")
    )]
    OutOfBand {
        /// How long was waited.
        waited: Duration,
        /// What is out of band.
        outside: Vec<String>,
    },
    /// The signing key cannot be read.
    #[error("key file {path}: {why}", path = path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Results cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The report cannot be made.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The run to be resumed was begun with another file.
    #[error("{run} was begun with another {file}: resume it with the file as it was, or begin a new run")]
    OtherExperiment {
        /// The run.
        run: String,
        /// The experiment file.
        file: String,
    },
    /// The system takes no signal handler.
    #[error("signals cannot be waited for: {0}")]
    Signals(std::io::Error),
    /// The user ended it before the first trial.
    #[error("interrupted before the first trial")]
    Interrupted,
}
