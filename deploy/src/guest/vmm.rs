//! The hypervisors, and which parts of a description each supports.

use std::path::{Path, PathBuf};

use super::problem::Problem;
use super::raw::RawGuest;

/// A hypervisor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vmm {
    /// QEMU: every machine, card, disk and network of a description, emulated where there is no KVM.
    #[default]
    Qemu,
    /// Cloud Hypervisor: KVM only, virtio over PCI, kernels with a PVH or Linux entry point.
    CloudHypervisor,
    /// Firecracker: KVM only, virtio over MMIO, the same kernels.
    Firecracker,
}

impl Vmm {
    const ALL: [Self; 3] = [Self::Qemu, Self::CloudHypervisor, Self::Firecracker];

    /// Its name in a description.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Qemu => "qemu",
            Self::CloudHypervisor => "cloud-hypervisor",
            Self::Firecracker => "firecracker",
        }
    }

    /// The program that is used where a description names none.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Self::Qemu => "qemu-system-x86_64",
            Self::CloudHypervisor | Self::Firecracker => self.name(),
        }
    }

    /// Parses a name, or the absolute path of a program whose file name begins with it.
    pub(super) fn parse(text: &str) -> Result<(Self, Option<PathBuf>), String> {
        let path = Path::new(text);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let program = path.is_absolute().then(|| path.to_owned());
        let found = Self::ALL.into_iter().find(|vmm| match &program {
            Some(_) => name.starts_with(vmm.name()),
            None => text == vmm.name(),
        });
        found.map(|vmm| (vmm, program)).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("{text:?} is not one of {names}, nor the absolute path of such a program")
        })
    }

    /// The parts of a description that it does not support, each with a remedy.
    pub(super) fn problems(self, raw: &RawGuest) -> Vec<Problem> {
        if self == Self::Qemu {
            return Vec::new();
        }
        let name = self.name();
        let unless_qemu = |key, wrong: bool, what: &str| {
            wrong.then(|| Problem {
                key,
                what: format!("{name} {what}, or use QEMU"),
            })
        };
        let disk = |matches: fn(Self, &super::RawDisk) -> bool| raw.disks.iter().any(|disk| matches(self, disk));
        [
            unless_qemu("kernel", raw.kernel.is_none(), "boots a kernel, not a disk: name one"),
            unless_qemu(
                "initrd_append",
                raw.initrd_append.is_some(),
                "has no multiboot modules: remove this key",
            ),
            unless_qemu(
                "cpu",
                raw.cpu.is_some(),
                "gives its guests the host's CPU model: remove this key",
            ),
            unless_qemu(
                "vnet_hdr",
                raw.vnet_hdr == Some(false),
                "always offloads checksums to the host: remove this key",
            ),
            unless_qemu(
                "stop",
                raw.stop.as_deref().unwrap_or("powerdown") != "quit",
                "is stopped by a signal: set stop = \"quit\"",
            ),
            unless_qemu(
                "shares",
                !raw.shares.is_empty() || raw.image.as_deref() == Some("virtiofs"),
                "gets no shared directories: remove them",
            ),
            unless_qemu(
                "disks.writable",
                disk(|_, disk| disk.writable),
                "has no overlays: make every disk read-only",
            ),
            unless_qemu(
                "disks.format",
                disk(|vmm, disk| vmm == Self::Firecracker && disk.format != "raw"),
                "supports raw disks only: convert them",
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::Guest;

    fn problems(text: &str) -> Vec<&'static str> {
        let problems = Guest::parse(Path::new("/g.toml"), text).unwrap_err().problems;
        problems.into_iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn a_name_or_a_path_is_parsed() {
        assert_eq!(Vmm::parse("firecracker").unwrap(), (Vmm::Firecracker, None));
        let (vmm, program) = Vmm::parse("/opt/cloud-hypervisor-static").unwrap();
        assert_eq!(
            (vmm, program.as_deref()),
            (Vmm::CloudHypervisor, Some(Path::new("/opt/cloud-hypervisor-static")))
        );
        for bad in ["xen", "bin/firecracker", "/bin/sh", "", "/"] {
            assert!(Vmm::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn everything_unsupported_is_reported_at_once() {
        let all = "vmm = 'firecracker'\ncpu = 'EPYC'\nvnet_hdr = false\ninitrd_append = 'x'\nready = 'up'\n[[shares]]\npath = '/s'\ntag = 's'\n[[disks]]\npath = '/d'\nformat = 'qcow2'\nwritable = true";
        let keys = problems(all);
        for key in [
            "kernel",
            "initrd_append",
            "cpu",
            "vnet_hdr",
            "stop",
            "shares",
            "disks.writable",
            "disks.format",
        ] {
            assert!(keys.contains(&key), "{key} is missing in {keys:?}");
        }
        let qcow2 = "kernel = '/k'\nstop = 'quit'\nready = 'up'\n[[disks]]\npath = '/d'\nformat = 'qcow2'\n";
        assert!(Guest::parse(Path::new("/g.toml"), &format!("vmm = 'cloud-hypervisor'\n{qcow2}")).is_ok());
        assert_eq!(problems(&format!("vmm = 'xen'\n{qcow2}")), ["vmm"]);
    }
}
