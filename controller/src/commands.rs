//! The commands that talk to a runner: run the experiment, check the host, ping the runner.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use analysis::store::{Preflight, Source};
use hdrhistogram::Histogram;
use loader::shutdown::on_signals;
use protocol::Name;
use protocol::load::MachineFacts;
use serde::Serialize;
use tracing::info;

use crate::campaign::{self, CampaignError, Finished, Options, Session};
use crate::config::{Brokers, Checked, Experiment};
use crate::exit::Exit;
use crate::plan::Plan;
use crate::preflight;
use crate::preflight::generator::GeneratorHost;
use crate::progress::Progress;

/// The effect of the first signal.
const ON_SIGNAL: &str = "the attempt is stopped and the run can be resumed; a second signal exits immediately";

/// Runs or resumes an experiment and reports its progress. The first signal stops the current attempt and interrupts the run.
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
    progress.finish(&closing(&finished, file));
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
        CampaignError::Runner(crate::peer::link::LinkError::Bus(_)) => Exit::Broker,
        CampaignError::Runner(_) => Exit::Runner,
        CampaignError::Unmet { .. } => Exit::Unmet,
        CampaignError::Host { .. } | CampaignError::NotSettled { .. } => Exit::Host,
        CampaignError::Key { .. } | CampaignError::OtherExperiment { .. } => Exit::Config,
        CampaignError::Store(_) | CampaignError::Report(_) | CampaignError::BrokerFiles(_) => Exit::Results,
        CampaignError::Signals(_) => Exit::Internal,
        CampaignError::Interrupted => Exit::Interrupted,
    }
}

/// A run is given by its directory, or by its name within the experiment's results.
fn folder_of(experiment: &Experiment, run: &Path) -> PathBuf {
    if run.is_dir() {
        run.to_owned()
    } else {
        experiment.results.join(experiment.name.as_str()).join(run)
    }
}

fn introduction(experiment: &Experiment) -> String {
    let broker = match &experiment.kafka.brokers {
        Brokers::Embedded(embedded) => format!("the embedded broker at {}", embedded.listen),
        Brokers::External(brokers) => format!("Kafka at {brokers}"),
    };
    format!(
        "experiment {}: waiting for the runner of host {} over {broker} (at most {} s)",
        experiment.name,
        experiment.host,
        experiment.deadlines.runner.as_secs()
    )
}

fn closing(finished: &Finished, file: &Path) -> String {
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
        let (file, folder) = (file.display(), folder.display());
        format!("interrupted; resume with: controller --config {file} --resume {folder}")
    } else {
        "finished".to_owned()
    };
    format!(
        "{end}: {count}\nresults: {}\nreport:  {}",
        folder.display(),
        reports.html.display()
    )
}

/// The result of checking a host against an experiment.
#[derive(Clone, Debug, Serialize)]
pub struct HostCheck {
    /// The host.
    pub host: String,
    /// Requirements that are met or waived, and shared CPUs.
    pub preflight: Preflight,
    /// Unmet requirements, each with its remedy.
    pub unmet: Vec<String>,
    /// Unavailable platforms, and services that cannot run on available ones.
    pub platforms: Vec<String>,
    /// The loaders that answered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub loaders: Vec<String>,
}

impl HostCheck {
    /// Whether a run would start.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.unmet.is_empty()
    }
}

/// Checks the host over the experiment's brokers.
///
/// # Errors
/// See [`CampaignError`].
pub async fn check_host(experiment: &Experiment) -> Result<HostCheck, CampaignError> {
    let shutdown = on_signals(ON_SIGNAL).map_err(CampaignError::Signals)?;
    let mut session = Session::open(experiment, &shutdown).await?;
    let facts = session.describe(experiment, &shutdown).await;
    let loaders = session.describe_loaders(experiment, &shutdown).await;
    session.close().await;
    let (facts, loaders) = (facts?, loaders?);
    let generators = GeneratorHost::of(experiment, loader::facts::read(None).boot_id, &loaders);
    let (preflight, unmet) = preflight::evaluate(experiment, &facts, &generators);
    // Replies are in the order of the requested platforms.
    let answers = experiment.platforms.iter().zip(&facts.platforms);
    let platforms = answers.filter_map(|(platform, answer)| {
        let unmet = answer.unmet.as_ref()?;
        Some(format!("{}: {}: {}", platform.name, unmet.need, unmet.remedy))
    });
    let services = campaign::service_problems(experiment, &facts);
    Ok(HostCheck {
        host: facts.host.to_string(),
        preflight,
        unmet,
        platforms: platforms.chain(services).collect(),
        loaders: experiment.loaders.iter().zip(&loaders).map(loader_line).collect(),
    })
}

fn loader_line((name, facts): (&Name, &MachineFacts)) -> String {
    format!("{name} on {}: {} CPUs, {}", facts.machine, facts.cpus, facts.cpu_model)
}

impl fmt::Display for HostCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Preflight {
            met,
            waived,
            shared_cpus,
        } = &self.preflight;
        writeln!(f, "host {}:", self.host)?;
        let kinds = [
            ("met", met),
            ("waived", waived),
            ("NOT MET", &self.unmet),
            ("unusable", &self.platforms),
            ("note", shared_cpus),
            ("loader", &self.loaders),
        ];
        for (word, lines) in kinds {
            lines.iter().try_for_each(|line| writeln!(f, "  {word:<8}  {line}"))?;
        }
        if kinds.iter().all(|(_, lines)| lines.is_empty()) {
            writeln!(f, "  no requirements, and every platform is available")?;
        }
        Ok(())
    }
}

/// The round-trip times of PING commands, ns.
#[derive(Clone, Debug)]
pub struct RoundTrips {
    host: String,
    times: Histogram<u64>,
}

/// Unmeasured PINGs at the beginning.
const WARM_UP_PINGS: u32 = 20;

/// Sends PINGs one after the other over the experiment's brokers.
///
/// # Errors
/// See [`CampaignError`].
pub async fn ping(experiment: &Experiment, count: u32) -> Result<RoundTrips, CampaignError> {
    let shutdown = on_signals(ON_SIGNAL).map_err(CampaignError::Signals)?;
    let mut session = Session::open(experiment, &shutdown).await?;
    session.describe(experiment, &shutdown).await?;
    let mut times = loader::Histograms::new().response;
    for round in 0..count + WARM_UP_PINGS {
        let exchange = tokio::select! {
            exchange = session.link.ping(experiment.deadlines.answer) => exchange?,
            () = shutdown.cancelled() => return Err(CampaignError::Interrupted),
        };
        if round >= WARM_UP_PINGS {
            times.saturating_record(u64::try_from(exchange.round_trip().as_nanos()).unwrap_or(u64::MAX));
        }
    }
    let host = session.link.host().to_string();
    session.close().await;
    Ok(RoundTrips { host, times })
}

impl fmt::Display for RoundTrips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |quantile| Duration::from_nanos(self.times.value_at_quantile(quantile)).as_secs_f64() * 1e3;
        writeln!(
            f,
            "{} round trips of PING to {}, one after the other",
            self.times.len(),
            self.host
        )?;
        writeln!(
            f,
            "p50 {:.3} ms, p90 {:.3} ms, p99 {:.3} ms, max {:.3} ms",
            at(0.5),
            at(0.9),
            at(0.99),
            at(1.0)
        )
    }
}
