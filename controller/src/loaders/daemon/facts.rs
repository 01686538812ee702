//! The machine that a loader is on.

use protocol::load::LoaderFacts;
use protocol::spec::CpuSet;

use crate::store::ControllerFacts;

/// Reads them off this machine.
#[must_use]
pub fn facts(pinned: Option<CpuSet>) -> LoaderFacts {
    let facts = ControllerFacts::read();
    LoaderFacts {
        version: facts.version,
        commit: facts.commit,
        machine: facts.host,
        os: facts.os,
        kernel: facts.kernel,
        arch: facts.arch,
        cpu_model: facts.cpu_model,
        cpus: facts.cpus,
        memory_bytes: facts.memory_bytes,
        governor: facts.governor,
        boot_id: facts.boot_id,
        pinned,
        limits: Some(crate::load::limits::of_this_machine()),
    }
}
