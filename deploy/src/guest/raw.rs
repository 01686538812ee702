//! What the file of a guest may hold.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// A description as it was written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawGuest {
    /// The preset that it builds upon.
    pub preset: Option<String>,
    /// What runs the guest: `qemu`, `cloud-hypervisor`, `firecracker`, or the path of such a program.
    pub vmm: Option<String>,
    /// What QEMU gets as `-kernel`.
    pub kernel: Option<PathBuf>,
    /// The hash that the kernel must have, hexadecimal.
    pub kernel_sha256: Option<String>,
    /// What QEMU gets as `-initrd`; the image `initramfs` makes its own.
    pub initrd: Option<PathBuf>,
    /// Arguments after the path of `initrd`, as a multiboot module takes them.
    pub initrd_append: Option<String>,
    /// Disks, the first is the first that the guest finds.
    #[serde(default)]
    pub disks: Vec<RawDisk>,
    /// Directories of the host that the guest can mount by virtio-fs.
    #[serde(default)]
    pub shares: Vec<RawShare>,
    /// The program that serves them; where not said, it is looked for.
    pub virtiofsd: Option<PathBuf>,
    /// What is made for the guest out of the workload: `initramfs`, `rofs`, `virtiofs`, `cloud` or `none`.
    pub image: Option<String>,
    /// How the image `cloud` starts the service: `unit` (from a disk, by itself) or `ssh` (copied and started by the runner).
    pub start: Option<String>,
    /// Below which directory the kernel's modules are.
    pub modules: Option<PathBuf>,
    /// The modules that the initramfs loads, with all that they need.
    pub load: Option<Vec<String>>,
    /// The `guest-init` of the initramfs; beside the workload program where not said.
    pub init: Option<PathBuf>,
    /// Further files of the image: path in the guest = path on the host.
    #[serde(default)]
    pub files: BTreeMap<String, PathBuf>,
    /// QEMU's machine: `q35`, `pc` or `microvm`.
    pub machine: Option<String>,
    /// QEMU's model of the processor.
    pub cpu: Option<String>,
    /// Memory of a guest without a declared limit, MiB.
    pub memory_mib: Option<u64>,
    /// The boot arguments, with `{ip}` and its kin.
    pub append: Option<String>,
    /// Where on the first disk the boot arguments stand that its own boot sector reads, bytes from the front: for a guest without a kernel.
    pub append_at: Option<u64>,
    /// The network card.
    pub nic: Option<String>,
    /// Whether packets on a tap bear virtio's header, by which checksums and cutting are left to the host.
    pub vnet_hdr: Option<bool>,
    /// Whether the guest gets a source of random numbers.
    pub random: Option<bool>,
    /// The port on which the system in the guest tells of itself by OSv's REST API.
    pub rest: Option<u16>,
    /// How the guest is asked to end: `powerdown` or `quit`.
    pub stop: Option<String>,
    /// What a line of the console matches once the guest is up.
    pub ready: Option<String>,
    /// What a line of the console matches if the guest has panicked.
    pub panic: Option<String>,
    /// What a line of the console matches when the service has left; its first group is the exit code.
    pub exited: Option<String>,
}

/// A disk as it was written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawDisk {
    /// Its file.
    pub path: PathBuf,
    /// `raw` or `qcow2`.
    pub format: String,
    /// `true`: every guest gets an overlay of its own, which is thrown away with it; `false`: it is read only.
    #[serde(default)]
    pub writable: bool,
}

/// A shared directory as it was written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawShare {
    /// The directory of the host.
    pub path: PathBuf,
    /// The name by which the guest mounts it.
    pub tag: String,
    /// `true`: the guest may write to the directory itself, and what it leaves stays there; `false`: it is read only.
    #[serde(default)]
    pub writable: bool,
}
