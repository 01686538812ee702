//! The contents of a description file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// A description, unchecked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawGuest {
    /// The preset that it extends.
    pub preset: Option<String>,
    /// The hypervisor: `qemu`, `cloud-hypervisor`, `firecracker`, or the path of such a program.
    pub vmm: Option<String>,
    /// The kernel, for QEMU's `-kernel`.
    pub kernel: Option<PathBuf>,
    /// SHA-256 that the kernel must have, in hexadecimal.
    pub kernel_sha256: Option<String>,
    /// The initrd, for QEMU's `-initrd`; the image `initramfs` builds its own.
    pub initrd: Option<PathBuf>,
    /// Arguments after the path of `initrd`, for a multiboot module.
    pub initrd_append: Option<String>,
    /// Disks, in the order in which the guest finds them.
    #[serde(default)]
    pub disks: Vec<RawDisk>,
    /// Directories of the host that the guest can mount by virtio-fs.
    #[serde(default)]
    pub shares: Vec<RawShare>,
    /// The virtiofsd program; default: the installed one.
    pub virtiofsd: Option<PathBuf>,
    /// The image that is built from the workload: `initramfs`, `rofs`, `virtiofs`, `cloud` or `none`.
    pub image: Option<String>,
    /// How the image `cloud` starts the service: `unit` (from a disk) or `ssh` (copied and started by the runner).
    pub start: Option<String>,
    /// The directory of the kernel's modules.
    pub modules: Option<PathBuf>,
    /// The modules that the initramfs loads, with their dependencies.
    pub load: Option<Vec<String>>,
    /// The `guest-init` program of the initramfs; default: the one beside the workload program.
    pub init: Option<PathBuf>,
    /// Further files of the image: path in the guest = path on the host.
    #[serde(default)]
    pub files: BTreeMap<String, PathBuf>,
    /// QEMU's machine type: `q35`, `pc` or `microvm`.
    pub machine: Option<String>,
    /// QEMU's CPU model.
    pub cpu: Option<String>,
    /// Memory where the experiment sets no limit, MiB.
    pub memory_mib: Option<u64>,
    /// Boot arguments, with `{ip}` and other placeholders.
    pub append: Option<String>,
    /// Byte offset on the first disk from which its boot sector reads the boot arguments, for a guest without a kernel.
    pub append_at: Option<u64>,
    /// The network card.
    pub nic: Option<String>,
    /// Whether packets on a tap carry a virtio header, which offloads checksums and segmentation to the host.
    pub vnet_hdr: Option<bool>,
    /// Whether the guest has a virtio random number generator.
    pub random: Option<bool>,
    /// Port of OSv's REST API in the guest.
    pub rest: Option<u16>,
    /// How the guest is asked to stop: `powerdown` or `quit`.
    pub stop: Option<String>,
    /// Matches the console line that shows that the guest is up.
    pub ready: Option<String>,
    /// Matches the console line of a panic.
    pub panic: Option<String>,
    /// Matches the console line that shows that the service exited; the first group is the exit code.
    pub exited: Option<String>,
}

/// A disk, unchecked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawDisk {
    /// Its file.
    pub path: PathBuf,
    /// `raw` or `qcow2`.
    pub format: String,
    /// `true`: every guest gets an overlay of its own, which is deleted with it; `false`: the disk is read-only.
    #[serde(default)]
    pub writable: bool,
}

/// A shared directory, unchecked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawShare {
    /// The directory of the host.
    pub path: PathBuf,
    /// The name by which the guest mounts it.
    pub tag: String,
    /// `true`: the guest may write to the directory, and what it writes stays there; `false`: it is read-only.
    #[serde(default)]
    pub writable: bool,
}
