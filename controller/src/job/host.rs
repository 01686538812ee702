//! Whether the host is what an experiment needs, asked of its runner, before anything is run.

use std::fmt;

use protocol::Name;
use protocol::load::MachineFacts;
use serde::Serialize;

use crate::campaign::{CampaignError, Session};
use crate::config::Experiment;
use crate::preflight;
use crate::preflight::cpus::Generator;
use loader::shutdown::on_signals;

use super::ON_SIGNAL;
use analysis::store::Preflight;

/// A host held against an experiment.
#[derive(Clone, Debug, Serialize)]
pub struct HostCheck {
    /// The host.
    pub host: String,
    /// What `[host]` requires and the host has, what is waived, and CPUs that are shared.
    pub preflight: Preflight,
    /// What is required and not so, each with its remedy.
    pub unmet: Vec<String>,
    /// Platforms that cannot be used there.
    pub platforms: Vec<String>,
    /// The loaders that answered, with their machines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub loaders: Vec<String>,
}

impl HostCheck {
    /// Whether a run would begin.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.unmet.is_empty()
    }
}

/// Asks the runner over the experiment's broker.
///
/// # Errors
/// See [`CampaignError`].
pub async fn check_host(experiment: &Experiment) -> Result<HostCheck, CampaignError> {
    let mut session = Session::open(experiment).await?;
    let shutdown = on_signals(ON_SIGNAL).map_err(CampaignError::Signals)?;
    let facts = session.describe(experiment, &shutdown).await;
    let loaders = session.muster(experiment, &shutdown).await;
    session.close().await;
    let (facts, loaders) = (facts?, loaders?);
    let generators = Generator::of(experiment, loader::facts::read(None).boot_id, &loaders);
    let (preflight, unmet) = preflight::examine(experiment, &facts, &generators);
    // The answers come in the order of the questions.
    let answers = experiment.platforms.iter().zip(&facts.platforms);
    let platforms = answers.filter_map(|(platform, answer)| {
        let unmet = answer.unmet.as_ref()?;
        Some(format!("{}: {}: {}", platform.name, unmet.need, unmet.remedy))
    });
    Ok(HostCheck {
        host: facts.host.to_string(),
        preflight,
        unmet,
        platforms: platforms.collect(),
        loaders: experiment.loaders.iter().zip(&loaders).map(loader).collect(),
    })
}

fn loader((name, facts): (&Name, &MachineFacts)) -> String {
    format!(
        "loader {name} on {}: {} CPUs, {}",
        facts.machine, facts.cpus, facts.cpu_model
    )
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
            ("there", &self.loaders),
        ];
        for (word, lines) in kinds {
            lines.iter().try_for_each(|line| writeln!(f, "  {word:<8}  {line}"))?;
        }
        if kinds.iter().all(|(_, lines)| lines.is_empty()) {
            writeln!(f, "  nothing is asked of it, and every platform can be used")?;
        }
        Ok(())
    }
}
