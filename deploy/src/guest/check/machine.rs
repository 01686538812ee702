
use std::path::PathBuf;

use super::Checks;
use crate::guest::{RawGuest, Vmm};

impl Checks {
    /// The hypervisor, with its program if the description names one.
    pub(super) fn vmm(&mut self, raw: &RawGuest) -> Option<(Vmm, Option<PathBuf>)> {
        let found = self.keep("vmm", Vmm::parse(raw.vmm.as_deref().unwrap_or("qemu")))?;
        self.problems.extend(found.0.problems(raw));
        Some(found)
    }

    /// A CPU model with flags, which must stay one argument of QEMU's.
    pub(super) fn cpu(&mut self, text: String) -> Option<String> {
        let named = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if named && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.,=+".contains(c)) {
            return Some(text);
        }
        self.wrong(
            "cpu",
            format!(
                "{text:?} is not a model that `qemu-system-x86_64 -cpu help` lists, with flags such as \"host,-pmu\""
            ),
        );
        None
    }
}
