//! Whether guests can be started on this host. Changes nothing, and takes no longer than QEMU takes to say its version.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use protocol::facts::Unmet;
use protocol::spec::{Acceleration, GuestNetwork, GuestSpec};

use super::driver::Qemu;
use crate::DeployError;
use crate::guest::{Guest, Problems};

/// Where programs are looked for besides `PATH`.
const DIRS: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// The first need that is not met, with what tells this installation from another in `details`.
pub(super) async fn unmet(qemu: &Qemu, details: &mut BTreeMap<String, String>) -> Option<Unmet> {
    let checked = check(qemu, details).await;
    checked.err().map(|error| match error {
        DeployError::Unmet { need, remedy } => Unmet { need, remedy },
        other => Unmet {
            need: other.to_string(),
            remedy: "see deploy/linux and deploy/osv for how a guest is described".into(),
        },
    })
}

async fn check(qemu: &Qemu, details: &mut BTreeMap<String, String>) -> Result<(), DeployError> {
    let spec = qemu.spec()?;
    let program = find("qemu-system-x86_64")?;
    details.insert("qemu".into(), version(&program).await);
    let guest = Guest::read(&qemu.description(spec)).map_err(|error| problems(&error))?;
    details.insert("guest".into(), spec.guest.to_string());
    details.insert("machine".into(), guest.machine.word().into());
    if guest.disks.iter().any(|disk| disk.writable) {
        find("qemu-img")?;
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
    devices(spec)
}

fn devices(spec: &GuestSpec) -> Result<(), DeployError> {
    let open = |path: &str| File::options().read(true).write(true).open(path);
    let need = |path: &str, remedy: &str| {
        open(path).map(drop).map_err(|error| DeployError::Unmet {
            need: format!("{path}: {error}"),
            remedy: remedy.into(),
        })
    };
    if spec.acceleration == Acceleration::Kvm {
        need(
            "/dev/kvm",
            "enable virtualisation and load kvm, or use acceleration = \"auto\" or \"tcg\"",
        )?;
    }
    if let GuestNetwork::Bridge(bridge) = &spec.network {
        need(
            "/dev/net/tun",
            "load tun and run the runner with CAP_NET_ADMIN, or use network = \"user\"",
        )?;
        if bridge.vhost {
            need("/dev/vhost-net", "load vhost_net, or set vhost = false")?;
        }
    }
    Ok(())
}

async fn version(program: &std::path::Path) -> String {
    let said = tokio::process::Command::new(program)
        .arg("--version")
        .kill_on_drop(true)
        .output()
        .await;
    let text = said
        .map(|said| String::from_utf8_lossy(&said.stdout).into_owned())
        .unwrap_or_default();
    text.lines().next().unwrap_or("of unknown version").to_owned()
}

/// A program, by its whole path.
///
/// # Errors
/// [`DeployError::Unmet`] if it is not installed.
pub(super) fn find(program: &str) -> Result<PathBuf, DeployError> {
    let path = std::env::var("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(std::env::split_paths(DIRS));
    dirs.filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| DeployError::Unmet {
            need: format!("{program} is not installed"),
            remedy: "run deploy/linux/setup-qemu.sh (Debian: qemu-system-x86 and qemu-utils)".into(),
        })
}

/// A bad description as an unmet need.
pub(super) fn problems(problems: &Problems) -> DeployError {
    DeployError::Unmet {
        need: format!("a description of the guest: {problems}"),
        remedy: "correct the file".into(),
    }
}
