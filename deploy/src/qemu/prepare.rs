//! What happens before the timed start: building the image, creating the overlays, verifying the acceleration.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use protocol::ids::{AttemptId, Name};
use protocol::spec::{Acceleration, EMULATED, GuestNetwork};
use tracing::warn;

use super::args::Accelerator;
use super::console::Watch;
use super::driver::{Qemu, overlays};
use super::image::{self, Made};
use super::own::Overlay;
use super::plan::{Plan, size};
use super::probe::{able, problems, program};
use super::proof::{self, Verdict};
use super::share;
use super::ssh::Keys;
use super::vm::Programs;
use crate::guest::{CloudImage, CloudStart, Guest, Image, Vmm};
use crate::{DeployError, Deployment};

#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) attempt: AttemptId,
    pub(super) program: PathBuf,
    pub(super) virtiofsd: Option<PathBuf>,
    pub(super) guest: Guest,
    pub(super) made: Made,
    pub(super) accelerator: Accelerator,
    pub(super) vcpus: u32,
    pub(super) memory_mib: u64,
    pub(super) deviations: Vec<String>,
    pub(super) overlays: BTreeMap<Name, Vec<Overlay>>,
    pub(super) keys: Option<Keys>,
}

impl Prepared {
    pub(super) const fn plan(&self) -> Plan<'_> {
        Plan {
            guest: &self.guest,
            made: &self.made,
            accelerator: self.accelerator,
            vcpus: self.vcpus,
            memory_mib: self.memory_mib,
            keys: self.keys.as_ref(),
        }
    }

    pub(super) fn programs(&self) -> Programs<'_> {
        Programs {
            vmm: &self.program,
            virtiofsd: self.virtiofsd.as_deref(),
        }
    }

    pub(super) fn watch(&self) -> Watch {
        Watch {
            ready: self.guest.ready.clone(),
            panic: self.guest.panic.clone(),
            exited: self.guest.exited.clone(),
        }
    }
}

/// Reads the description, builds the image, creates the overlays and decides on the acceleration.
pub(super) async fn prepare(qemu: &Qemu, deployment: &Deployment) -> Result<Prepared, DeployError> {
    let spec = qemu.spec()?;
    let guest = Guest::read(&qemu.description(spec)).map_err(|error| problems(&error))?;
    able(&guest, spec)?;
    let program = program(&guest)?;
    let virtiofsd = guest.is_shared_with().then(|| share::program(&guest)).transpose()?;
    share::check(&guest)?;
    let (workload, state) = (qemu.host.workload.clone(), qemu.host.state.clone());
    let made = tokio::task::spawn_blocking(move || {
        let guest = with_kernel(guest, &state)?;
        let made = image::make(&guest, &workload, &state)?;
        Ok((guest, made))
    });
    let (guest, made) = made.await.unwrap_or_else(|error| {
        Err(DeployError::Platform {
            platform: "guest image",
            message: error.to_string(),
        })
    })?;
    let (vcpus, memory_mib, deviations) = size(&guest, spec, &deployment.resources);
    let mut prepared = Prepared {
        attempt: deployment.attempt,
        program,
        virtiofsd,
        guest,
        made,
        accelerator: Accelerator::Tcg,
        vcpus,
        memory_mib,
        deviations,
        overlays: BTreeMap::new(),
        keys: None,
    };
    if logs_in(&prepared.guest) {
        prepared.keys = Some(Keys::make(&qemu.host.state, deployment.attempt).await?);
        let word = "started over SSH: an SSH server runs in the guest beside the service, which was copied into it";
        prepared.deviations.push(word.into());
    }
    for share in prepared.guest.shares.iter().filter(|share| share.writable) {
        let word = format!(
            "the share {:?} is writable: what one trial leaves there, the next one finds",
            share.tag
        );
        prepared.deviations.push(word);
    }
    if matches!(spec.network, GuestNetwork::User(_)) {
        let word = "user-mode network: QEMU's own TCP stack handles every packet";
        prepared.deviations.push(word.into());
    }
    accelerate(qemu, deployment, &mut prepared, spec.acceleration).await?;
    for service in &deployment.services {
        let made = overlays(qemu, &prepared, deployment, service).await?;
        prepared.overlays.insert(service.name.clone(), made);
    }
    Ok(prepared)
}

pub(super) fn logs_in(guest: &Guest) -> bool {
    matches!(guest.image, Image::Cloud(CloudImage { start: CloudStart::Ssh }))
}

/// KVM where it is wanted and verified; emulation is a deviation, and never silent.
async fn accelerate(
    qemu: &Qemu,
    deployment: &Deployment,
    prepared: &mut Prepared,
    wanted: Acceleration,
) -> Result<(), DeployError> {
    if prepared.guest.vmm != Vmm::Qemu {
        // It needs KVM: that the guest comes up is the proof.
        prepared.accelerator = Accelerator::Kvm;
        return Ok(());
    }
    if wanted == Acceleration::Tcg {
        prepared.deviations.push(EMULATED.into());
        return Ok(());
    }
    match (proof::kvm(qemu, deployment, prepared).await?, wanted) {
        (Verdict::Works, _) => prepared.accelerator = Accelerator::Kvm,
        (Verdict::Fails(why), Acceleration::Kvm) => {
            return Err(DeployError::Unmet {
                need: format!("a guest that boots with KVM: {why}"),
                remedy:
                    "use a host with working virtualization, or acceleration = \"auto\" or \"tcg\" and accept emulation"
                        .into(),
            });
        }
        (Verdict::Fails(why), _) => {
            warn!(why, guest = %context.spec()?.guest, "KVM does not work: the guests are emulated");
            prepared.deviations.push(format!("{EMULATED}; KVM was tried: {why}"));
        }
    }
    Ok(())
}

/// Checks that the guest's kernel exists and is the described one, and converts it to a form that QEMU accepts.
fn with_kernel(mut guest: Guest, state: &Path) -> Result<Guest, DeployError> {
    let Some(kernel) = &guest.kernel else {
        return Ok(guest);
    };
    let bytes = fs::read(kernel).map_err(|error| missing(kernel, &error.to_string()))?;
    match &guest.kernel_sha256 {
        Some(wanted) if *wanted != image::hex(&bytes) => Err(missing(
            kernel,
            &format!("its SHA-256 is {}, not {wanted}", image::hex(&bytes)),
        )),
        _ => {
            guest.kernel = Some(image::kernel(kernel, &bytes, state)?);
            Ok(guest)
        }
    }
}

fn missing(kernel: &Path, why: &str) -> DeployError {
    DeployError::ImageMissing {
        image: kernel.display().to_string(),
        remedy: format!("{why}; put the right kernel there, or correct the guest's description"),
    }
}
