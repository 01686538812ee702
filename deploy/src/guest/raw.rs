//! The contents of a description file.

use protocol::raw_table;
use protocol::toml::{Problem, Table};

raw_table! {
    /// The keys of a description but its tables.
    RawKeys {
        /// The preset that it extends.
        preset: string -> String,
        /// The hypervisor: `qemu`, `cloud-hypervisor`, `firecracker`, or the path of such a program.
        vmm: string -> String,
        /// The kernel, for QEMU's `-kernel`.
        kernel: string -> String,
        /// SHA-256 that the kernel must have, in hexadecimal.
        kernel_sha256: string -> String,
        /// The initrd, for QEMU's `-initrd`; the image `initramfs` builds its own.
        initrd: string -> String,
        /// Arguments after the path of `initrd`, for a multiboot module.
        initrd_append: string -> String,
        /// The virtiofsd program; default: the installed one.
        virtiofsd: string -> String,
        /// The image that is built from the workload: `initramfs`, `rofs`, `virtiofs`, `cloud` or `none`.
        image: string -> String,
        /// How the image `cloud` starts the service: `unit` (from a disk) or `ssh` (copied and started by the runner).
        start: string -> String,
        /// The directory of the kernel's modules.
        modules: string -> String,
        /// The modules that the initramfs loads, with their dependencies.
        load: list -> Vec<String>,
        /// The `guest-init` program of the initramfs; default: the one beside the workload program.
        init: string -> String,
        /// Further files of the image: path in the guest = path on the host.
        files: strings -> Vec<(String, String)>,
        /// QEMU's machine type: `q35`, `pc` or `microvm`.
        machine: string -> String,
        /// QEMU's CPU model.
        cpu: string -> String,
        /// Memory where the experiment sets no limit, MiB.
        memory_mib: mib -> i64,
        /// Boot arguments, with `{ip}` and other placeholders.
        append: string -> String,
        /// Byte offset on the first disk from which its boot sector reads the boot arguments, for a guest without a kernel.
        append_at: integer -> i64,
        /// The network card.
        nic: string -> String,
        /// Whether packets on a tap carry a virtio header, which offloads checksums and segmentation to the host.
        vnet_hdr: boolean -> bool,
        /// Whether the guest has a virtio random number generator.
        random: boolean -> bool,
        /// Port of OSv's REST API in the guest.
        rest: integer -> i64,
        /// How the guest is asked to stop: `powerdown` or `quit`.
        stop: string -> String,
        /// Matches the console line that shows that the guest is up.
        ready: string -> String,
        /// Matches the console line of a panic.
        panic: string -> String,
        /// Matches the console line that shows that the service exited; the first group is the exit code.
        exited: string -> String,
    }
}

raw_table! {
    /// `[[disks]]`.
    RawDisk {
        /// Its file.
        path: string -> String,
        /// `raw` or `qcow2`.
        format: string -> String,
        /// `true`: every guest gets an overlay of its own, which is deleted with it; `false`: the disk is read-only.
        writable: boolean -> bool,
    }
}

raw_table! {
    /// `[[shares]]`.
    RawShare {
        /// The directory of the host.
        path: string -> String,
        /// The name by which the guest mounts it.
        tag: string -> String,
        /// `true`: the guest may write to the directory, and what it writes stays there; `false`: it is read-only.
        writable: boolean -> bool,
    }
}

/// A description, unchecked.
#[derive(Clone, Debug)]
pub struct RawGuest {
    /// Its own keys.
    pub keys: RawKeys,
    /// Disks, in the order in which the guest finds them.
    pub disks: Vec<RawDisk>,
    /// Directories of the host that the guest can mount by virtio-fs.
    pub shares: Vec<RawShare>,
}

impl RawGuest {
    pub(super) fn read(mut root: Table<'_>, problems: &mut Vec<Problem>) -> Self {
        let (disks, shares) = (root.tables("disks"), root.tables("shares"));
        let keys = RawKeys::read(&mut root);
        root.end(problems);
        let mut disk = |mut table: Table<'_>| {
            let disk = RawDisk::read(&mut table);
            table.end(problems);
            disk
        };
        let disks = disks.into_iter().map(&mut disk).collect();
        let mut share = |mut table: Table<'_>| {
            let share = RawShare::read(&mut table);
            table.end(problems);
            share
        };
        Self {
            keys,
            disks,
            shares: shares.into_iter().map(&mut share).collect(),
        }
    }
}
