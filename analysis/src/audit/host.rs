//! The rules about the host that the services ran on.

use protocol::summary::{KernelEventKind, KernelLogSummary};

use super::rules::Found;
use crate::store::BandRecord;
use crate::store::Rule;

/// A log that could not be read proves nothing, and is no reason against the attempt either.
pub(super) fn kernel_log(log: &KernelLogSummary, found: &mut Found) {
    for trouble in &log.troubles {
        let text = format!("the kernel said {:?}: {}", trouble.text, trouble.kind.as_str());
        match trouble.kind {
            KernelEventKind::OutOfMemory => found.invalid(Rule::KernelLog, text),
            _ => found.suspect(Rule::KernelLog, text),
        }
    }
}

/// What was out of band when the trial began all the same.
pub(super) fn band(band: &BandRecord, found: &mut Found) {
    if !band.outside.is_empty() {
        let text = format!(
            "after {} s the host was still out of band: {}",
            band.waited_ns / 1_000_000_000,
            band.outside.join("; ")
        );
        found.suspect(Rule::Band, text);
    }
}
