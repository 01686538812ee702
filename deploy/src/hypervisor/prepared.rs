//! What the guests of a deployment are started from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use protocol::ids::{AttemptId, Name};
use protocol::spec::Emulation;

use super::console::Patterns;
use super::files::Overlay;
use super::image::BuiltImage;
use super::plan::Plan;
use super::spec::Accelerator;
use super::ssh::Keys;
use super::vm::Programs;
use crate::guest::Guest;
use crate::{DeployError, Service};

/// What the guests of a deployment are started from.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) attempt: AttemptId,
    pub(super) program: PathBuf,
    /// Set if the guests have shares.
    pub(super) virtiofsd: Option<PathBuf>,
    pub(super) guest: Guest,
    /// By service.
    pub(super) images: BTreeMap<Name, BuiltImage>,
    pub(super) accelerator: Accelerator,
    pub(super) vcpus: u32,
    pub(super) memory_mib: u64,
    pub(super) deviations: Vec<String>,
    /// `Some`: the guests are emulated.
    pub(super) emulation: Option<Emulation>,
    /// By service.
    pub(super) overlays: BTreeMap<Name, Vec<Overlay>>,
    /// Set if the runner logs in to the guests.
    pub(super) keys: Option<Keys>,
}

impl Prepared {
    /// What the guest of a service is started from.
    pub(super) fn plan(&self, service: &Name) -> Plan<'_> {
        Plan {
            guest: &self.guest,
            image: self.images.get(service).unwrap_or(&BuiltImage::Nothing),
            accelerator: self.accelerator,
            vcpus: self.vcpus,
            memory_mib: self.memory_mib,
            keys: self.keys.as_ref(),
        }
    }

    /// The programs that a guest needs.
    pub(super) fn programs(&self) -> Programs<'_> {
        Programs {
            vmm: &self.program,
            virtiofsd: self.virtiofsd.as_deref(),
        }
    }

    /// The console lines that matter.
    pub(super) fn patterns(&self) -> Patterns {
        Patterns {
            ready: self.guest.ready.clone(),
            panic: self.guest.panic.clone(),
            exited: self.guest.exited.clone(),
        }
    }

    /// Creates the overlays of a service's guest, in the order of its writable disks.
    pub(super) async fn create_overlays(
        &self,
        state: &Path,
        attempt: AttemptId,
        service: &Service,
    ) -> Result<Vec<Overlay>, DeployError> {
        let mut overlays = Vec::new();
        for (number, disk) in self.guest.disks.iter().filter(|disk| disk.writable).enumerate() {
            let name = format!("{}-{number}", service.name);
            overlays.push(Overlay::create(state, disk, attempt, &name).await?);
        }
        Ok(overlays)
    }
}
