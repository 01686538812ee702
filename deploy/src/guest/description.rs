//! A checked description.

use std::path::PathBuf;

use regex::bytes::Regex;

use super::template::Template;
use super::vmm::Vmm;

/// A guest as its host describes it, checked.
#[derive(Clone, Debug)]
pub struct Guest {
    /// What runs it.
    pub vmm: Vmm,
    /// Its program; `None`: the one of that name that is installed.
    pub program: Option<PathBuf>,
    /// What QEMU boots directly; `None`: its firmware boots the first disk.
    pub kernel: Option<PathBuf>,
    /// The hash that the kernel must have, lower-case hexadecimal.
    pub kernel_sha256: Option<String>,
    /// A ready-made second file for the kernel.
    pub initrd: Option<PathBuf>,
    /// What stands after it, as a multiboot module takes arguments.
    pub initrd_append: Option<Template>,
    /// Ready-made disks.
    pub disks: Vec<Disk>,
    /// Directories of the host that it can mount by virtio-fs.
    pub shares: Vec<Share>,
    /// The program that serves them; `None`: the one that is installed.
    pub virtiofsd: Option<PathBuf>,
    /// What is made out of the workload.
    pub image: Image,
    /// Further files of that image: path in the guest, path on the host.
    pub files: Vec<(String, PathBuf)>,
    /// QEMU's machine.
    pub machine: Machine,
    /// QEMU's model of the processor; `None`: all that the host's, or its translator, can do.
    pub cpu: Option<String>,
    /// Memory of a guest without a declared limit, MiB.
    pub memory_mib: u64,
    /// The boot arguments.
    pub append: Option<Template>,
    /// Where on the first disk they stand, bytes from the front, if it is the disk that boots; `None`: they go to the kernel.
    pub append_at: Option<u64>,
    /// The network card.
    pub nic: Nic,
    /// Whether packets on a tap bear virtio's header, by which checksums and cutting are left to the host. A driver that takes the offer and does
    /// not keep it loses packets: it must not be made the offer.
    pub vnet_hdr: bool,
    /// Whether it gets a source of random numbers.
    pub random: bool,
    /// The port of OSv's REST API, if it is in the guest.
    pub rest: Option<u16>,
    /// How it is asked to end.
    pub stop: Stop,
    /// What a line of the console matches once the guest is up.
    pub ready: Regex,
    /// What a line of the console matches if the guest has panicked.
    pub panic: Option<Regex>,
    /// What a line of the console matches when the service has left; the first group is its exit code.
    pub exited: Option<Regex>,
}

/// A ready-made disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Its file.
    pub path: PathBuf,
    /// How the file is to be read.
    pub format: DiskFormat,
    /// Whether every guest gets an overlay of its own; else it is read only.
    pub writable: bool,
}

/// How the file of a disk is to be read. Never guessed: a guest could write a header that makes a raw disk something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFormat {
    /// Byte for byte.
    Raw,
    /// QEMU's own format.
    Qcow2,
}

impl DiskFormat {
    /// QEMU's word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
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
    /// Whether the guest may write to it; what it leaves there stays.
    pub writable: bool,
}

impl Guest {
    /// Whether a program has to serve it a directory.
    #[must_use]
    pub fn is_shared_with(&self) -> bool {
        !self.shares.is_empty() || matches!(self.image, Image::Virtiofs(_))
    }
}

/// What is made for a guest out of the workload program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// Nothing: the service is in the kernel or on the disks.
    None,
    /// An initramfs for Linux.
    Initramfs(InitramfsImage),
    /// A disk with a read-only root file system for OSv.
    Rofs(RofsImage),
    /// A directory with the same, which OSv mounts as its root by virtio-fs.
    Virtiofs(VirtiofsImage),
    /// A disk with the program, and a seed for the cloud-init of the guest's own disk.
    Cloud(CloudImage),
}

/// An initramfs: `guest-init`, the workload and the modules in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitramfsImage {
    /// Below which directory the kernel's modules are.
    pub modules: PathBuf,
    /// Those to load.
    pub load: Vec<String>,
    /// The first process; `None`: the file `guest-init` beside the workload program.
    pub init: Option<PathBuf>,
}

/// A root file system for OSv: the workload, and the places where OSv mounts its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RofsImage {}

/// The same root file system as a directory of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtiofsImage {}

/// What the cloud-init of a whole distribution is told: address, program, unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudImage {
    /// How the service is started.
    pub start: CloudStart,
}

/// How the service of a cloud image is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudStart {
    /// By a unit, from a disk with the program.
    Unit,
    /// By a unit, too, once the runner has logged in and copied the program.
    Ssh,
}

/// QEMU's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// PCI Express, of 2007.
    Q35,
    /// PCI, of 1996.
    Pc,
    /// Without PCI and firmware tables; virtio over memory-mapped registers.
    Microvm,
}

impl Machine {
    /// QEMU's word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
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
    /// virtio over PCI, as QEMU makes it.
    VirtioPci,
    /// The same in a form that drivers of before version 1.0 know.
    VirtioPciTransitional,
    /// The same for drivers of version 1.0 only.
    VirtioPciModern,
    /// virtio over memory-mapped registers, for microvm.
    VirtioMmio,
    /// Intel's card of 2000, emulated.
    E1000,
}

impl Nic {
    /// QEMU's word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::VirtioPci => "virtio-net-pci",
            Self::VirtioPciTransitional => "virtio-net-pci-transitional",
            Self::VirtioPciModern => "virtio-net-pci-non-transitional",
            Self::VirtioMmio => "virtio-net-device",
            Self::E1000 => "e1000",
        }
    }
}

/// How a guest is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Its power button is pressed; after the grace QEMU is told to quit.
    Powerdown,
    /// QEMU is told to quit at once, as a guest that knows no power button needs it.
    Quit,
}
