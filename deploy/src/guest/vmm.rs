//! The hypervisors, and which parts of a description each supports.

use std::path::{Path, PathBuf};

use protocol::toml::{Fault, TableCheck};

use super::raw::{RawDisk, RawGuest};

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
    pub(super) fn parse(text: &str) -> Result<(Self, Option<PathBuf>), Fault> {
        let path = Path::new(text);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let program = path.is_absolute().then(|| path.to_owned());
        let found = Self::ALL.into_iter().find(|vmm| match &program {
            Some(_) => name.starts_with(vmm.name()),
            None => text == vmm.name(),
        });
        found.map(|vmm| (vmm, program)).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Fault::new(
                "unknown hypervisor",
                format!("write one of {names}, or the absolute path of such a program"),
            )
        })
    }

    /// Reports the parts of a description that it does not support.
    pub(super) fn check(self, raw: &RawGuest, table: &mut TableCheck<'_>) {
        if self == Self::Qemu {
            return;
        }
        let (name, keys) = (self.name(), &raw.keys);
        let fault = |what: &str, remedy: &str| Fault::new(format!("{name} {what}"), format!("{remedy}, or use QEMU"));
        let remove = "remove this key, or use QEMU";
        if keys.kernel.is_absent() {
            table.error(&keys.kernel, fault("boots a kernel, not a disk", "name one"));
        }
        table.forbid(&keys.initrd_append, &format!("{name} has no multiboot modules"), remove);
        table.forbid(
            &keys.cpu,
            &format!("{name} gives its guests the host's CPU model"),
            remove,
        );
        if keys.vnet_hdr.value() == Some(&false) {
            table.error(
                &keys.vnet_hdr,
                fault("always offloads checksums to the host", "remove this key"),
            );
        }
        if keys.stop.value().is_none_or(|stop| stop != "quit") {
            table.error(&keys.stop, fault("is stopped by a signal", "set stop = \"quit\""));
        }
        if keys.image.value().is_some_and(|image| image == "virtiofs") {
            table.error(&keys.image, fault("gets no shared directories", "choose another image"));
        }
        for share in &raw.shares {
            let fault = fault("gets no shared directories", "remove them");
            table.elsewhere(&share.section).table_error(fault);
        }
        for disk in &raw.disks {
            self.check_disk(disk, &mut table.elsewhere(&disk.section));
        }
    }

    fn check_disk(self, disk: &RawDisk, table: &mut TableCheck<'_>) {
        let name = self.name();
        if disk.writable.value() == Some(&true) {
            let what = format!("{name} has no overlays");
            table.error(
                &disk.writable,
                Fault::new(what, "make every disk read-only, or use QEMU"),
            );
        }
        if self == Self::Firecracker && disk.format.value().is_some_and(|format| format != "raw") {
            let what = format!("{name} supports raw disks only");
            table.error(&disk.format, Fault::new(what, "convert it, or use QEMU"));
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::toml::Problem;

    use super::*;
    use crate::guest::Guest;

    fn problems(text: &str) -> Vec<String> {
        let problems = Guest::parse(Path::new("/g.toml"), text).unwrap_err();
        let place = |problem: Problem| problem.table + &problem.key.unwrap_or_default();
        problems.into_iter().map(place).collect()
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
            "[[shares]] 1",
            "[[disks]] 1writable",
            "[[disks]] 1format",
        ] {
            assert!(keys.iter().any(|found| found == key), "{key} is missing in {keys:?}");
        }
        let qcow2 = "kernel = '/k'\nstop = 'quit'\nready = 'up'\n[[disks]]\npath = '/d'\nformat = 'qcow2'\n";
        assert!(Guest::parse(Path::new("/g.toml"), &format!("vmm = 'cloud-hypervisor'\n{qcow2}")).is_ok());
        assert_eq!(problems(&format!("vmm = 'xen'\n{qcow2}")), ["vmm"]);
    }
}
