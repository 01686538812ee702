//! What runs a guest, and what of a description it cannot do.

use std::path::{Path, PathBuf};

use super::check::Problem;
use super::raw::RawGuest;

/// A program that runs guests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vmm {
    /// QEMU: every machine, card, disk and network that a description knows, emulated where there is no KVM.
    #[default]
    Qemu,
    /// Cloud Hypervisor: KVM only, virtio over PCI, kernels with an entry for PVH or Linux.
    CloudHypervisor,
    /// Firecracker: KVM only, virtio over memory-mapped registers, the same kernels.
    Firecracker,
}

impl Vmm {
    const ALL: [Self; 3] = [Self::Qemu, Self::CloudHypervisor, Self::Firecracker];

    /// Its name, as a description says it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Qemu => "qemu",
            Self::CloudHypervisor => "cloud-hypervisor",
            Self::Firecracker => "firecracker",
        }
    }

    /// The program that is looked for where a description names no file.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Self::Qemu => "qemu-system-x86_64",
            Self::CloudHypervisor | Self::Firecracker => self.word(),
        }
    }

    /// A word, or the absolute path of a program whose name begins with it.
    pub(super) fn parse(text: &str) -> Result<(Self, Option<PathBuf>), String> {
        let path = Path::new(text);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let program = path.is_absolute().then(|| path.to_owned());
        let found = Self::ALL.into_iter().find(|vmm| match &program {
            Some(_) => name.starts_with(vmm.word()),
            None => text == vmm.word(),
        });
        found.map(|vmm| (vmm, program)).ok_or_else(|| {
            let words = Self::ALL.map(Self::word).join(", ");
            format!("{text:?} is none of {words}, nor the absolute path of a program with such a name")
        })
    }

    /// What of a description it cannot do, each with its remedy.
    pub(super) fn problems(self, raw: &RawGuest) -> Vec<Problem> {
        if self == Self::Qemu {
            return Vec::new();
        }
        let word = self.word();
        let unless_qemu = |key, wrong: bool, what: &str| {
            wrong.then(|| Problem {
                key,
                what: format!("{word} {what}, or use QEMU"),
            })
        };
        let disk = |matches: fn(Self, &super::RawDisk) -> bool| raw.disks.iter().any(|disk| matches(self, disk));
        [
            unless_qemu("kernel", raw.kernel.is_none(), "boots a kernel and no disk: name one"),
            unless_qemu(
                "initrd_append",
                raw.initrd_append.is_some(),
                "knows no multiboot modules: leave their arguments out",
            ),
            unless_qemu(
                "cpu",
                raw.cpu.is_some(),
                "shows its guests the processor of the host: leave it out",
            ),
            unless_qemu(
                "vnet_hdr",
                raw.vnet_hdr == Some(false),
                "always leaves checksums to the host: leave it out",
            ),
            unless_qemu(
                "stop",
                raw.stop.as_deref().unwrap_or("powerdown") != "quit",
                "is ended by a signal: write stop = \"quit\"",
            ),
            unless_qemu(
                "shares",
                !raw.shares.is_empty() || raw.image.as_deref() == Some("virtiofs"),
                "is given no directories: leave them out",
            ),
            unless_qemu(
                "disks.writable",
                disk(|_, disk| disk.writable),
                "has no overlays: make every disk read only",
            ),
            unless_qemu(
                "disks.format",
                disk(|vmm, disk| vmm == Self::Firecracker && disk.format != "raw"),
                "reads raw disks only: convert them",
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
    fn a_word_or_a_file_of_that_name() {
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
    fn what_it_cannot_do_is_said_at_once() {
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
