//! QEMU's command line, as a pure function of a [`VmSpec`].
//!
//! File names and other free text are passed as JSON (`-blockdev`, `-netdev`, `-device`) or as an argument of their own (`-kernel`, `-append`), so no comma or
//! equals sign in them can become an option.

use std::net::SocketAddrV4;

use serde_json::{Value, json};

use super::spec::{Accelerator, VmDisk, VmNetwork, VmSpec};
use crate::guest::Machine;

/// The arguments of `qemu-system-x86_64`.
#[must_use]
pub fn args(spec: &VmSpec) -> Vec<String> {
    let mut args: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| args.extend(words.iter().map(|&word| word.to_owned()));
    add(&["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    // Gives threads names, by which the sampler identifies their roles.
    add(&["-name", "jung,debug-threads=on"]);
    add(&["-machine", &machine(spec)]);
    let (accelerator, all) = match spec.accelerator {
        Accelerator::Kvm => ("kvm", "host"),
        Accelerator::Tcg => ("tcg", "max"),
    };
    add(&["-accel", accelerator, "-cpu", spec.cpu.as_deref().unwrap_or(all)]);
    add(&["-smp", &spec.vcpus.to_string(), "-m", &format!("{}M", spec.memory_mib)]);
    if !spec.shares.is_empty() {
        add(&["-object", &shared_memory(spec).to_string()]);
    }
    for (id, socket) in [("monitor", &spec.monitor), ("console", &spec.console)] {
        add(&[
            "-chardev",
            &format!("socket,id={id},path={socket},abstract=on,tight=on"),
        ]);
    }
    add(&["-mon", "chardev=monitor,mode=control", "-serial", "chardev:console"]);
    if let Some(kernel) = &spec.kernel {
        add(&["-kernel", &kernel.to_string_lossy()]);
    }
    if let Some(initrd) = &spec.initrd {
        add(&["-initrd", initrd]);
    }
    if let Some(append) = &spec.append {
        add(&["-append", append]);
    }
    let microvm = spec.machine == Machine::Microvm;
    for (index, disk) in spec.disks.iter().enumerate() {
        add(&["-blockdev", &blockdev(index, disk).to_string()]);
        let driver = if microvm { "virtio-blk-device" } else { "virtio-blk-pci" };
        let device = json!({"driver": driver, "drive": format!("disk{index}")});
        add(&["-device", &device.to_string()]);
    }
    for (index, share) in spec.shares.iter().enumerate() {
        let id = format!("share{index}");
        add(&["-chardev", &format!("socket,id={id},fd={}", share.connection)]);
        let driver = if microvm {
            "vhost-user-fs-device"
        } else {
            "vhost-user-fs-pci"
        };
        let device = json!({"driver": driver, "chardev": id, "tag": share.tag});
        add(&["-device", &device.to_string()]);
    }
    add(&["-netdev", &netdev(&spec.network).to_string()]);
    let card = json!({"driver": spec.nic.name(), "netdev": "net0", "mac": spec.mac});
    add(&["-device", &card.to_string()]);
    if spec.random {
        let driver = if microvm { "virtio-rng-device" } else { "virtio-rng-pci" };
        add(&["-device", &json!({"driver": driver}).to_string()]);
    }
    args
}

/// The machine type. `microvm` keeps the serial port, which the console needs, and the real-time clock.
fn machine(spec: &VmSpec) -> String {
    let name = spec.machine.name();
    let clocks = if spec.machine == Machine::Microvm {
        ",isa-serial=on,rtc=on"
    } else {
        ""
    };
    let memory = if spec.shares.is_empty() {
        ""
    } else {
        ",memory-backend=ram"
    };
    format!("{name}{clocks}{memory}")
}

/// The guest's memory in a form that other processes can map.
fn shared_memory(spec: &VmSpec) -> Value {
    json!({"qom-type": "memory-backend-memfd", "id": "ram", "size": spec.memory_mib << 20, "share": true})
}

fn blockdev(index: usize, disk: &VmDisk) -> Value {
    json!({
        "driver": disk.format.name(),
        "node-name": format!("disk{index}"),
        "read-only": disk.read_only,
        "file": {"driver": "file", "filename": disk.path.to_string_lossy(), "read-only": disk.read_only},
    })
}

fn netdev(network: &VmNetwork) -> Value {
    match network {
        VmNetwork::Tap { name, vhost, vnet_hdr } => json!({
            "type": "tap", "id": "net0", "ifname": name, "script": "no", "downscript": "no", "vhost": vhost,
            "vnet_hdr": vnet_hdr,
        }),
        VmNetwork::User { guest, forwards } => {
            let forward = |(host, port): &(SocketAddrV4, u16)| {
                ["tcp", "udp"].map(|protocol| json!({"str": format!("{protocol}:{host}-{guest}:{port}")}))
            };
            let forwards: Vec<Value> = forwards.iter().flat_map(forward).collect();
            json!({"type": "user", "id": "net0", "ipv6": false, "dhcpstart": guest.to_string(), "hostfwd": forwards})
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::guest::{DiskFormat, Nic};
    use crate::hypervisor::spec::VmShare;

    fn shown(spec: &VmSpec) -> String {
        let mut text = String::new();
        for arg in args(spec) {
            text.push_str(if arg.starts_with('-') && !text.ends_with("-append ") {
                "\n"
            } else {
                " "
            });
            text.push_str(&arg);
        }
        text
    }

    #[test]
    fn osv_on_a_tap() {
        insta::assert_snapshot!(shown(&VmSpec::example()));
    }

    #[test]
    fn linux_on_the_user_network_with_kvm() {
        insta::assert_snapshot!(shown(&VmSpec {
            machine: Machine::Pc,
            accelerator: Accelerator::Kvm,
            vcpus: 2,
            initrd: Some("/s/linux.cpio".into()),
            disks: Vec::new(),
            network: VmNetwork::User {
                guest: Ipv4Addr::new(10, 0, 2, 15),
                forwards: vec![("127.0.0.1:5000".parse().unwrap(), 5000)],
            },
            ..VmSpec::example()
        }));
    }

    #[test]
    fn a_microvm_with_an_overlay() {
        insta::assert_snapshot!(shown(&VmSpec {
            machine: Machine::Microvm,
            cpu: Some("qemu64,-cx16".into()),
            nic: Nic::VirtioMmio,
            disks: vec![VmDisk {
                path: "/s/o.qcow2".into(),
                format: DiskFormat::Qcow2,
                read_only: false,
            }],
            random: false,
            ..VmSpec::example()
        }));
    }

    #[test]
    fn directories_are_shared_with_the_memory() {
        let share = |tag: &str, connection| VmShare {
            tag: tag.into(),
            connection,
        };
        insta::assert_snapshot!(shown(&VmSpec {
            disks: Vec::new(),
            shares: vec![share("root", 17), share("data", 19)],
            ..VmSpec::example()
        }));
        let microvm = shown(&VmSpec {
            machine: Machine::Microvm,
            shares: vec![share("root", 17)],
            ..VmSpec::example()
        });
        assert!(
            microvm.contains("rtc=on,memory-backend=ram") && microvm.contains("vhost-user-fs-device"),
            "{microvm}"
        );
    }

    #[test]
    fn a_driver_with_broken_offloads_is_offered_none() {
        let tap = |vnet_hdr| VmNetwork::Tap {
            name: "jt01234567-2".into(),
            vhost: false,
            vnet_hdr,
        };
        assert_eq!(netdev(&tap(false))["vnet_hdr"], false);
        assert_eq!(netdev(&tap(true))["vnet_hdr"], true);
    }

    #[test]
    fn free_text_cannot_become_an_option() {
        let hostile = "/s/a,file.driver=nbd,\"x\" -enable-kvm";
        let mut spec = VmSpec::example();
        spec.disks[0].path = hostile.into();
        let args = args(&spec);
        let with_it: Vec<&String> = args.iter().filter(|arg| arg.contains("enable-kvm")).collect();
        let [blockdev] = with_it[..] else { panic!("{with_it:?}") };
        let json: Value = serde_json::from_str(blockdev).unwrap();
        assert_eq!(json["file"]["filename"], hostile);
    }
}
