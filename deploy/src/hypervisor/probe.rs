//! Checks whether guests can run on this host. Changes nothing, and takes no longer than asking QEMU for its version.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use protocol::facts::Unmet;
use protocol::spec::{Acceleration, GuestNetwork, GuestSpec};
use protocol::toml::Problem;

use super::context::Context;
use super::{ssh, virtiofsd};
use crate::DeployError;
use crate::guest::{Guest, Vmm};
use crate::programs::{self, find};

/// How to install QEMU.
pub(super) const REMEDY: &str = "run deploy/linux/setup-qemu.sh (Debian: qemu-system-x86 and qemu-utils)";

/// The first unmet need. `details` gets what tells this installation from another.
pub(super) async fn unmet(context: &Context, details: &mut BTreeMap<String, String>) -> Option<Unmet> {
    let checked = check(context, details).await;
    let remedy = "see deploy/linux and deploy/osv for how a guest is described";
    checked.err().map(|error| error.into_unmet(remedy))
}

async fn check(context: &Context, details: &mut BTreeMap<String, String>) -> Result<(), DeployError> {
    let spec = context.spec()?;
    let guest = Guest::read(&context.description(spec)).map_err(|error| invalid_description(&error))?;
    check_capabilities(&guest, spec)?;
    let program = program(&guest)?;
    details.insert(guest.vmm.name().into(), programs::version_or_unknown(&program).await);
    details.insert("guest".into(), spec.guest.to_string());
    if guest.vmm == Vmm::Qemu {
        details.insert("machine".into(), guest.machine.name().into());
    }
    if guest.disks.iter().any(|disk| disk.writable) {
        find("qemu-img", REMEDY)?;
        find("qemu-io", REMEDY)?;
    }
    if guest.logs_in() {
        ssh::check()?;
    }
    if guest.needs_virtiofsd() {
        let program = virtiofsd::program(&guest)?;
        details.insert("virtiofsd".into(), programs::version_or_unknown(&program).await);
        virtiofsd::check(&guest)?;
    }
    let files = guest
        .kernel
        .iter()
        .chain(&guest.initrd)
        .chain(guest.disks.iter().map(|disk| &disk.path));
    for path in files {
        File::open(path).map_err(|error| DeployError::Unmet {
            need: format!("{} of guest {}: {error}", path.display(), spec.guest),
            remedy: "put it there, or correct the guest's description".into(),
        })?;
    }
    if let Some(kernel) = &guest.kernel {
        details.insert("kernel".into(), kernel.display().to_string());
    }
    details.extend(guest.kernel_sha256.map(|hash| ("kernel_sha256".to_owned(), hash)));
    devices(spec, guest.vmm)
}

/// The program that runs a guest.
pub(super) fn program(guest: &Guest) -> Result<PathBuf, DeployError> {
    match (&guest.program, guest.vmm) {
        (Some(program), _) if program.is_file() => Ok(program.clone()),
        (Some(program), _) => Err(DeployError::Unmet {
            need: format!("{} does not exist", program.display()),
            remedy: "install the program there, or correct `vmm` in the guest's description".into(),
        }),
        (None, Vmm::Qemu) => find(guest.vmm.program(), REMEDY),
        (None, vmm) => find(
            vmm.program(),
            "put it on the runner's PATH, or set `vmm` in the guest's description to its path (docs/platforms.md)",
        ),
    }
}

/// Whether the guest's hypervisor supports what the experiment asks for.
pub(super) fn check_capabilities(guest: &Guest, spec: &GuestSpec) -> Result<(), DeployError> {
    let name = guest.vmm.name();
    let cannot = |what: &str, remedy: &str| {
        Err(DeployError::Unmet {
            need: format!("guest {} runs under {name}, which {what}", spec.guest),
            remedy: format!("{remedy}, or describe the guest for QEMU"),
        })
    };
    match (&spec.network, spec.acceleration) {
        _ if guest.vmm == Vmm::Qemu => Ok(()),
        (_, Acceleration::Tcg) => cannot("emulates no processor", "use acceleration = \"kvm\""),
        (GuestNetwork::User(_), _) => cannot("has no user-mode network", "use network = \"bridge\""),
        (GuestNetwork::Bridge(bridge), _) if bridge.vhost => cannot("does not support vhost-net", "set vhost = false"),
        _ => Ok(()),
    }
}

fn devices(spec: &GuestSpec, vmm: Vmm) -> Result<(), DeployError> {
    let open = |path: &str| File::options().read(true).write(true).open(path);
    let need = |path: &str, remedy: &str| {
        open(path).map(drop).map_err(|error| DeployError::Unmet {
            need: format!("{path}: {error}"),
            remedy: remedy.into(),
        })
    };
    if spec.acceleration == Acceleration::Kvm || vmm != Vmm::Qemu {
        need(
            "/dev/kvm",
            "enable virtualization and load the module kvm, or use acceleration = \"auto\" or \"tcg\"",
        )?;
    }
    if let GuestNetwork::Bridge(bridge) = &spec.network {
        need(
            "/dev/net/tun",
            "load the module tun and run the runner with CAP_NET_ADMIN, or use network = \"user\"",
        )?;
        if bridge.vhost {
            need("/dev/vhost-net", "load the module vhost_net, or set vhost = false")?;
        }
    }
    Ok(())
}

/// An invalid description as an unmet need.
pub(super) fn invalid_description(problems: &[Problem]) -> DeployError {
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    DeployError::Unmet {
        need: format!("invalid guest description: {}", problems.join("; ")),
        remedy: "correct the file".into(),
    }
}
