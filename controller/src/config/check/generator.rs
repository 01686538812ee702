//! `[generator]`.

use protocol::spec::CpuSet;

use super::at::At;
use super::value;
use crate::config::Load;
use crate::config::problem::{Fault, Problem};
use crate::config::raw::{RawExperiment, RawGenerator};
use protocol::load::LoadKind;
use protocol::load::Wait;

/// What loads have that do not say it themselves.
#[derive(Debug)]
pub(super) struct Generator {
    cpus: Option<CpuSet>,
    wait: Wait,
}

/// Checks `[generator]`; `None` has left a problem.
pub(super) fn check(raw: &RawGenerator, problems: &mut Vec<Problem>) -> Option<Generator> {
    let mut at = At::new(&raw.section, problems);
    let cpus = at.optional(&raw.cpus, value::cpus);
    let words = [Wait::Sleep, Wait::Spin].map(|wait| (wait.as_str(), wait));
    let wait = at.or(&raw.wait, Wait::default(), value::choice(&words));
    Some(Generator {
        cpus: cpus?,
        wait: wait?,
    })
}

impl Generator {
    /// Gives it to the loads; `None` has left a problem: threads that never sleep need CPUs of their own.
    pub(super) fn give(&self, loads: &mut [Load], raw: &RawExperiment, problems: &mut Vec<Problem>) -> Option<()> {
        for load in loads {
            if let Some(cpus) = &self.cpus {
                load.spec.pin(cpus);
            }
            load.spec.wait = self.wait;
            if self.wait == Wait::Spin && is_ours(&load.spec.kind) && load.spec.kind.cpus().is_empty() {
                let what = format!(
                    "threads that never sleep need CPUs of their own, and load {:?} has none",
                    load.name.as_str()
                );
                let fault = Fault::new(what, "write e.g. cpus = \"1\" beside it");
                At::new(&raw.generator.section, problems).error(&raw.generator.wait, fault);
                return None;
            }
        }
        Some(())
    }
}

/// Whether one of our engines fires it.
fn is_ours(kind: &LoadKind) -> bool {
    !matches!(kind, LoadKind::Httperf(_) | LoadKind::Jmeter(_) | LoadKind::None(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, parse};

    fn loads(generator: &str, load: &str) -> Result<Vec<Load>, String> {
        let text = format!(
            "[experiment]\nname = \"x\"\n[[platform]]\nkind = \"native\"\n[[workload]]\nkind = \"tcp\"\n[[load]]\nkind = \"rate\"\nname = \"light\"\n\
             rate = 5\nduration = \"10s\"\n{load}\n[[load]]\nkind = \"none\"\nname = \"rest\"\n[generator]\n{generator}\n"
        );
        let checked = parse("x.toml", &text, &Overrides::default());
        checked
            .map(|checked| checked.experiment.loads)
            .map_err(|problems| problems.iter().map(|p| format!("{p}\n")).collect())
    }

    #[test]
    fn who_never_sleeps_needs_cpus_of_its_own() {
        assert!(loads("", "").unwrap().iter().all(|load| load.spec.wait == Wait::Sleep));
        let told = loads("wait = \"spin\"\ncpus = \"1\"", "").unwrap();
        assert_eq!((told[0].spec.wait, told[0].spec.kind.cpus()), (Wait::Spin, &[1][..]));
        assert_eq!(
            loads("wait = \"spin\"", "cpus = \"2\"").unwrap()[0].spec.wait,
            Wait::Spin
        );
        let refused = loads("wait = \"spin\"", "").unwrap_err();
        assert!(
            refused.contains("load \"light\" has none; write e.g. cpus"),
            "{refused}"
        );
        let unknown = loads("wait = \"spinn\"", "").unwrap_err();
        assert!(unknown.contains("did you mean \"spin\"?"), "{unknown}");
    }
}
