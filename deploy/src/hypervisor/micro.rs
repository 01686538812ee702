//! The command lines of Cloud Hypervisor and Firecracker, as pure functions of the same [`VmSpec`] that QEMU gets.
//!
//! Neither emulates a processor nor has a user-mode network, so their guests need KVM and a tap. Their serial console is their standard output, and they are
//! stopped by a signal.

use std::path::Path;

use serde_json::{Value, json};

use super::spec::{VmDisk, VmNetwork, VmSpec};
use crate::guest::DiskFormat;

/// The arguments of `cloud-hypervisor`.
#[must_use]
pub fn cloud_hypervisor(spec: &VmSpec) -> Vec<String> {
    let mut args: Vec<String> = Vec::new();
    let mut add = |option: &str, value: String| args.extend([option.to_owned(), value]);
    add("--cpus", format!("boot={}", spec.vcpus));
    add("--memory", format!("size={}M", spec.memory_mib));
    for (option, path) in [
        ("--kernel", path(spec.kernel.as_deref())),
        ("--initramfs", spec.initrd.clone()),
    ] {
        if let Some(path) = path {
            add(option, path);
        }
    }
    if let Some(append) = &spec.append {
        add("--cmdline", append.clone());
    }
    if let Some(events) = spec.events {
        add("--event-monitor", format!("fd={events}"));
    }
    add("--serial", "tty".into());
    add("--console", "off".into());
    if let Some(tap) = tap(&spec.network) {
        add("--net", format!("tap={tap},mac={}", spec.mac));
    }
    let disk = |disk: &VmDisk| {
        let read_only = if disk.read_only { "on" } else { "off" };
        let (path, format) = (disk.path.display(), disk.format.name());
        format!("path=\"{path}\",readonly={read_only},image_type={format}")
    };
    if !spec.disks.is_empty() {
        args.push("--disk".into());
        args.extend(spec.disks.iter().map(disk));
    }
    args
}

/// The arguments of `firecracker`, with the file that holds [`firecracker_config`].
#[must_use]
pub fn firecracker(config: &Path) -> Vec<String> {
    // Its own messages would precede the first byte of the console.
    let words = ["--no-api", "--level", "Off", "--config-file"];
    let config = config.to_string_lossy().into_owned();
    words.map(str::to_owned).into_iter().chain([config]).collect()
}

/// The configuration file of `firecracker`.
#[must_use]
pub fn firecracker_config(spec: &VmSpec) -> Value {
    let drive = |(index, disk): (usize, &VmDisk)| {
        debug_assert_eq!(disk.format, DiskFormat::Raw, "the description refuses other formats");
        json!({
            "drive_id": format!("disk{index}"),
            "path_on_host": disk.path,
            "is_root_device": false,
            "is_read_only": disk.read_only,
        })
    };
    let card = |tap: &str| json!({"iface_id": "net0", "host_dev_name": tap, "guest_mac": spec.mac});
    let mut config = json!({
        "boot-source": {
            "kernel_image_path": spec.kernel,
            "initrd_path": spec.initrd,
            "boot_args": spec.append.as_deref().unwrap_or_default(),
        },
        "machine-config": {"vcpu_count": spec.vcpus, "mem_size_mib": spec.memory_mib},
        "drives": spec.disks.iter().enumerate().map(drive).collect::<Vec<_>>(),
        "network-interfaces": tap(&spec.network).map(card).into_iter().collect::<Vec<_>>(),
    });
    if spec.random {
        config["entropy"] = json!({});
    }
    config
}

fn path(path: Option<&Path>) -> Option<String> {
    path.map(|path| path.to_string_lossy().into_owned())
}

fn tap(network: &VmNetwork) -> Option<&str> {
    match network {
        VmNetwork::Tap { name, .. } => Some(name),
        VmNetwork::User { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::Vmm;
    use crate::hypervisor::spec::Accelerator;

    fn spec(vmm: Vmm, format: DiskFormat) -> VmSpec {
        VmSpec {
            vmm,
            config: Some("/s/one.json".into()),
            events: Some(17),
            accelerator: Accelerator::Kvm,
            vcpus: 2,
            kernel: Some("/k/vmlinux".into()),
            initrd: Some("/s/linux.cpio".into()),
            append: Some("console=ttyS0 -- udp \"a,b\"".into()),
            disks: vec![VmDisk {
                path: "/s/a disk".into(),
                format,
                read_only: true,
            }],
            ..VmSpec::example()
        }
    }

    #[test]
    fn cloud_hypervisor_on_a_tap() {
        let spec = spec(Vmm::CloudHypervisor, DiskFormat::Qcow2);
        insta::assert_snapshot!(cloud_hypervisor(&spec).join("\n"));
    }

    #[test]
    fn firecracker_on_a_tap() {
        let spec = spec(Vmm::Firecracker, DiskFormat::Raw);
        let config = serde_json::to_string_pretty(&firecracker_config(&spec)).unwrap();
        insta::assert_snapshot!(format!(
            "{}\n\n{config}",
            firecracker(Path::new("/s/one.json")).join(" ")
        ));
    }
}
