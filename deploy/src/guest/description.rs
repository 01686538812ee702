//! The checked description of a guest.

use std::path::PathBuf;

use regex::bytes::Regex;

use super::template::Template;
use super::vmm::Vmm;

/// A guest as its description defines it, checked.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Its hypervisor.
    pub vmm: Vmm,
    /// The hypervisor's program; `None`: the installed one.
    pub program: Option<PathBuf>,
    /// The kernel that is booted directly; `None`: the firmware boots the first disk.
    pub kernel: Option<PathBuf>,
    /// SHA-256 that the kernel must have, in lower-case hexadecimal.
    pub kernel_sha256: Option<String>,
    /// An existing initrd.
    pub initrd: Option<PathBuf>,
    /// Arguments after its path, for a multiboot module.
    pub initrd_append: Option<Template>,
    /// Existing disks.
    pub disks: Vec<Disk>,
    /// Directories of the host that it can mount by virtio-fs.
    pub shares: Vec<Share>,
    /// The virtiofsd program; `None`: the installed one.
    pub virtiofsd: Option<PathBuf>,
    /// The image that is built from the workload.
    pub image: Image,
    /// Further files of that image: path in the guest, path on the host.
    pub files: Vec<(String, PathBuf)>,
    /// QEMU's machine type.
    pub machine: Machine,
    /// QEMU's CPU model; `None`: `host` under KVM, `max` under TCG.
    pub cpu: Option<String>,
    /// Memory where the experiment sets no limit, MiB.
    pub memory_mib: u64,
    /// Boot arguments.
    pub append: Option<Template>,
    /// Byte offset on the first disk to which they are written, for a guest that boots from it; `None`: they are passed to the kernel.
    pub append_at: Option<u64>,
    /// The network card.
    pub nic: Nic,
    /// Whether packets on a tap carry a virtio header, which offloads checksums and segmentation to the host. A driver that accepts the offer without
    /// implementing it loses packets, and must not get the offer.
    pub vnet_hdr: bool,
    /// Whether it has a virtio random number generator.
    pub random: bool,
    /// Port of OSv's REST API, if the guest has it.
    pub rest: Option<u16>,
    /// How it is asked to stop.
    pub stop: Stop,
    /// Matches the console line that shows that the guest is up.
    pub ready: Regex,
    /// Matches the console line of a panic.
    pub panic: Option<Regex>,
    /// Matches the console line that shows that the service exited; the first group is its exit code.
    pub exited: Option<Regex>,
}

/// An existing disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Its file.
    pub path: PathBuf,
    /// The format of the file.
    pub format: DiskFormat,
    /// Whether every guest gets its own overlay; otherwise the disk is read-only.
    pub writable: bool,
}

/// The format of a disk's file. Never guessed: a guest could write a header that makes a raw disk look like another format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFormat {
    /// Byte for byte.
    Raw,
    /// QEMU's own format.
    Qcow2,
}

impl DiskFormat {
    /// QEMU's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

/// A directory of the host that a guest can mount by virtio-fs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The directory.
    pub path: PathBuf,
    /// The name by which the guest mounts it.
    pub tag: String,
    /// Whether the guest may write to it. What it writes stays there.
    pub writable: bool,
}

impl Guest {
    /// Whether the runner logs in to it by SSH.
    #[must_use]
    pub const fn logs_in(&self) -> bool {
        matches!(self.image, Image::Cloud(CloudImage { start: CloudStart::Ssh }))
    }

    /// Whether it needs virtiofsd.
    #[must_use]
    pub fn needs_virtiofsd(&self) -> bool {
        !self.shares.is_empty() || matches!(self.image, Image::Virtiofs(_))
    }
}

/// The image that is built for a guest from the workload program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// Nothing: the service is in the kernel or on the disks.
    None,
    /// An initramfs for Linux.
    Initramfs(InitramfsImage),
    /// A disk with a read-only root file system for OSv.
    Rofs(RofsImage),
    /// The same as a directory, which OSv mounts as its root by virtio-fs.
    Virtiofs(VirtiofsImage),
    /// A disk with the program, and a cloud-init seed for the guest's own disk.
    Cloud(CloudImage),
}

/// An initramfs: `guest-init`, the workload, and kernel modules in load order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitramfsImage {
    /// The directory of the kernel's modules.
    pub modules: PathBuf,
    /// The modules to load.
    pub load: Vec<String>,
    /// The first process; `None`: the file `guest-init` beside the workload program.
    pub init: Option<PathBuf>,
}

/// A root file system for OSv: the workload and OSv's mount points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RofsImage {}

/// The same root file system as a directory of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtiofsImage {}

/// What cloud-init of a distribution gets: an address, the program, a systemd unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudImage {
    /// How the service is started.
    pub start: CloudStart,
}

/// How the service of a cloud image is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudStart {
    /// By a systemd unit, from a disk with the program.
    Unit,
    /// By a systemd unit too, after the runner has logged in and copied the program.
    Ssh,
}

/// QEMU's machine type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// PCI Express chipset (2007).
    Q35,
    /// PCI chipset (1996).
    Pc,
    /// No PCI and no firmware tables; virtio over MMIO.
    Microvm,
}

impl Machine {
    /// QEMU's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Q35 => "q35",
            Self::Pc => "pc",
            Self::Microvm => "microvm",
        }
    }
}

/// The network card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nic {
    /// virtio over PCI, QEMU's default variant.
    VirtioPci,
    /// virtio over PCI, transitional: for drivers older than virtio 1.0.
    VirtioPciTransitional,
    /// virtio over PCI, non-transitional: for drivers of virtio 1.0 only.
    VirtioPciModern,
    /// virtio over MMIO, for microvm.
    VirtioMmio,
    /// Intel 82540EM (2000), emulated.
    E1000,
}

impl Nic {
    /// QEMU's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::VirtioPci => "virtio-net-pci",
            Self::VirtioPciTransitional => "virtio-net-pci-transitional",
            Self::VirtioPciModern => "virtio-net-pci-non-transitional",
            Self::VirtioMmio => "virtio-net-device",
            Self::E1000 => "e1000",
        }
    }
}

/// How a guest is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// ACPI power button; after the grace period QEMU is told to quit.
    Powerdown,
    /// QEMU is told to quit at once, for a guest that does not support the power button.
    Quit,
}
