//! A virtual machine as a hypervisor is to start it.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::RawFd;
use std::path::PathBuf;

use crate::guest::{DiskFormat, Machine, Nic, Vmm};

/// A virtual machine to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmSpec {
    /// The hypervisor.
    pub vmm: Vmm,
    /// The configuration file that Firecracker reads.
    pub config: Option<PathBuf>,
    /// The descriptor that Cloud Hypervisor inherits to write its events to.
    pub events: Option<RawFd>,
    /// QEMU's machine type.
    pub machine: Machine,
    /// The CPU model; `None`: all features of the accelerator.
    pub cpu: Option<String>,
    /// What executes the guest's instructions.
    pub accelerator: Accelerator,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// The kernel that is booted directly.
    pub kernel: Option<PathBuf>,
    /// The initrd, with its arguments if it is a multiboot module.
    pub initrd: Option<String>,
    /// The kernel's command line.
    pub append: Option<String>,
    /// The disks, in the order in which the guest finds them.
    pub disks: Vec<VmDisk>,
    /// Directories of the host that the guest can mount.
    pub shares: Vec<VmShare>,
    /// The network card.
    pub nic: Nic,
    /// The card's MAC address, e.g. `52:54:0a:4d:00:02`.
    pub mac: String,
    /// What the card is connected to.
    pub network: VmNetwork,
    /// Whether it has a virtio random number generator.
    pub random: bool,
    /// The abstract socket that QEMU connects its monitor to.
    pub monitor: String,
    /// The abstract socket that QEMU connects the serial console to.
    pub console: String,
}

/// What executes a guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Accelerator {
    /// Hardware virtualization.
    Kvm,
    /// QEMU's binary translation.
    Tcg,
}

/// A disk of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmDisk {
    /// Its file.
    pub path: PathBuf,
    /// The format of the file.
    pub format: DiskFormat,
    /// Whether the guest may not write to it.
    pub read_only: bool,
}

/// A directory that a guest can mount. virtiofsd maps the guest's memory, which must be shared for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmShare {
    /// The tag by which the guest mounts it.
    pub tag: String,
    /// The descriptor that QEMU inherits, connected to virtiofsd.
    pub connection: RawFd,
}

/// What a network card is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VmNetwork {
    /// An existing tap device.
    Tap {
        /// Its name.
        name: String,
        /// Whether vhost-net forwards the packets.
        vhost: bool,
        /// Whether packets carry a virtio header, without which the card offers no checksum or segmentation offload.
        vnet_hdr: bool,
    },
    /// QEMU's user-mode network.
    User {
        /// The guest's address.
        guest: Ipv4Addr,
        /// The ports of the host that are forwarded, for TCP and UDP, with the ports of the guest.
        forwards: Vec<(SocketAddrV4, u16)>,
    },
}

#[cfg(test)]
impl VmSpec {
    /// A QEMU guest for tests: OSv on a tap, emulated.
    pub(super) fn example() -> Self {
        Self {
            vmm: Vmm::Qemu,
            config: None,
            events: None,
            machine: Machine::Q35,
            cpu: None,
            accelerator: Accelerator::Tcg,
            vcpus: 1,
            memory_mib: 128,
            kernel: Some("/k/loader-stripped.elf".into()),
            initrd: None,
            append: Some("--rootfs=rofs /workload tcp".into()),
            disks: vec![VmDisk {
                path: "/s/osv.raw".into(),
                format: DiskFormat::Raw,
                read_only: true,
            }],
            shares: Vec::new(),
            nic: Nic::VirtioPci,
            mac: "52:54:0a:4d:00:02".into(),
            network: VmNetwork::Tap {
                name: "jt01234567-2".into(),
                vhost: false,
                vnet_hdr: true,
            },
            random: true,
            monitor: "jung-1-monitor".into(),
            console: "jung-1-console".into(),
        }
    }
}
