//! Experiments for tests.

use protocol::spec::PlatformSpec;

use super::{Experiment, Overrides, Problem, parse};

/// An experiment of one trial's kind, as short as it can be.
pub(crate) const GOOD: &str = r#"
[experiment]
name = "x"
[[platform]]
kind = "native"
[[workload]]
kind = "tcp"
[[load]]
kind = "rate"
name = "light"
rate = 10
duration = "10s"
"#;

/// What an experiment needs besides its platforms.
const BUT_PLATFORMS: &str = "[experiment]\nname = 'x'\n[[workload]]\nkind = 'tcp'\n\
                             [[load]]\nkind = 'rate'\nname = 'light'\nrate = 10\nduration = '10s'\n";

/// The experiment of a file `x.toml` with this text, or its problems, a line each.
pub(crate) fn experiment(text: &str) -> Result<Experiment, String> {
    let checked = parse("x.toml", text, &Overrides::default());
    checked
        .map(|checked| checked.experiment)
        .map_err(|problems| lines(&problems))
}

/// The platforms of an experiment that has these tables, or its problems.
pub(crate) fn platforms(tables: &str) -> Result<Vec<PlatformSpec>, String> {
    let experiment = experiment(&format!("{BUT_PLATFORMS}{tables}"))?;
    Ok(experiment.platforms.into_iter().map(|platform| platform.spec).collect())
}

/// The problems of a text.
#[track_caller]
pub(crate) fn problems(text: &str) -> String {
    experiment(text).unwrap_err()
}

/// Problems or warnings, a line each.
pub(crate) fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}
