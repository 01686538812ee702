//! What happens before the timed start: building the image, creating the overlays, verifying the acceleration.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use protocol::ids::{AttemptId, Name};
use protocol::spec::{Acceleration, Emulation, GuestNetwork};
use tracing::warn;

use super::context::Context;
use super::image::{self, BuiltImage, Payload};
use super::kvm::{self, Verdict};
use super::plan::size;
use super::prepared::Prepared;
use super::probe::{check_capabilities, invalid_description, program};
use super::spec::Accelerator;
use super::ssh::Keys;
use super::virtiofsd;
use crate::guest::{Guest, Vmm};
use crate::mark::Mark;
use crate::service::{Service, dir_path};
use crate::{DeployError, DeploymentSpec, Host};

/// Reads the description, builds the image, creates the overlays and decides on the acceleration.
pub(super) async fn prepare(context: &Context, deployment: &DeploymentSpec) -> Result<Prepared, DeployError> {
    let spec = context.spec()?;
    let guest = Guest::read(&context.description(spec)).map_err(|error| invalid_description(&error))?;
    check_capabilities(&guest, spec)?;
    let program = program(&guest)?;
    let virtiofsd = guest
        .needs_virtiofsd()
        .then(|| virtiofsd::program(&guest))
        .transpose()?;
    virtiofsd::check(&guest)?;
    let (host, attempt, services) = (context.host.clone(), deployment.attempt, deployment.services.clone());
    let built = tokio::task::spawn_blocking(move || {
        let guest = with_kernel(guest, &host.state)?;
        let images = images(&guest, &host, attempt, &services)?;
        Ok((guest, images))
    });
    let (guest, images) = built.await.unwrap_or_else(|error| {
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
        images,
        accelerator: Accelerator::Tcg,
        vcpus,
        memory_mib,
        deviations,
        emulation: None,
        overlays: BTreeMap::new(),
        keys: None,
    };
    if prepared.guest.logs_in() {
        prepared.keys = Some(Keys::generate(&context.host.state, deployment.attempt).await?);
        let deviation =
            "started over SSH: an SSH server runs in the guest beside the service, which was copied into it";
        prepared.deviations.push(deviation.into());
    }
    for share in prepared.guest.shares.iter().filter(|share| share.writable) {
        let deviation = format!(
            "the share {:?} is writable: what one trial leaves there, the next one finds",
            share.tag
        );
        prepared.deviations.push(deviation);
    }
    if matches!(spec.network, GuestNetwork::User(_)) {
        let deviation = "user-mode network: QEMU's own TCP stack handles every packet";
        prepared.deviations.push(deviation.into());
    }
    accelerate(context, deployment, &mut prepared, spec.acceleration).await?;
    for service in &deployment.services {
        let overlays = prepared
            .create_overlays(&context.host.state, deployment.attempt, service)
            .await?;
        prepared.overlays.insert(service.name.clone(), overlays);
    }
    Ok(prepared)
}

/// The image of each service.
fn images(
    guest: &Guest,
    host: &Host,
    attempt: AttemptId,
    services: &[Service],
) -> Result<BTreeMap<Name, BuiltImage>, DeployError> {
    let mut images = BTreeMap::new();
    let mut of_workload: Option<BuiltImage> = None;
    for service in services {
        let scratch = dir_path(&host.state, &Mark::of(&host.runner, attempt, service))?;
        let described = service.description();
        let image = match (described, &of_workload) {
            (None, Some(image)) => image.clone(),
            _ => {
                let payload = Payload {
                    workload: &host.workload,
                    described: described.map(|described| (service, &**described, scratch.as_path())),
                };
                image::build(guest, payload, &host.state)?
            }
        };
        if described.is_none() {
            of_workload = Some(image.clone());
        }
        images.insert(service.name.clone(), image);
    }
    Ok(images)
}

/// KVM where it is wanted and verified; emulation is recorded, and never silent.
async fn accelerate(
    context: &Context,
    deployment: &DeploymentSpec,
    prepared: &mut Prepared,
    wanted: Acceleration,
) -> Result<(), DeployError> {
    if prepared.guest.vmm != Vmm::Qemu {
        // It needs KVM: that the guest comes up is the proof.
        prepared.accelerator = Accelerator::Kvm;
        return Ok(());
    }
    if wanted == Acceleration::Tcg {
        prepared.emulation = Some(Emulation::default());
        return Ok(());
    }
    match (kvm::verify(context, deployment, prepared).await?, wanted) {
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
            prepared.emulation = Some(Emulation { kvm_failure: Some(why) });
        }
    }
    Ok(())
}

/// Checks that the guest's kernel exists and is the described one, and converts it to a form that QEMU accepts.
fn with_kernel(mut guest: Guest, state: &Path) -> Result<Guest, DeployError> {
    let Some(kernel) = &guest.kernel else {
        return Ok(guest);
    };
    let bytes = fs::read(kernel).map_err(|error| kernel_error(kernel, &error.to_string()))?;
    match &guest.kernel_sha256 {
        Some(expected) if *expected != image::hex(&bytes) => Err(kernel_error(
            kernel,
            &format!("its SHA-256 is {}, not {expected}", image::hex(&bytes)),
        )),
        _ => {
            guest.kernel = Some(image::kernel(kernel, &bytes, state)?);
            Ok(guest)
        }
    }
}

fn kernel_error(kernel: &Path, why: &str) -> DeployError {
    DeployError::ImageMissing {
        image: kernel.display().to_string(),
        remedy: format!("{why}; put the right kernel there, or correct the guest's description"),
    }
}
