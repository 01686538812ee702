//! Valid and invalid descriptions.

use super::*;

fn parse(text: &str) -> Result<Guest, Problems> {
    Guest::parse(Path::new("/state/guests/x.toml"), text)
}

#[test]
fn a_preset_needs_only_what_the_host_knows() {
    let osv = parse("preset = 'osv'\nkernel = '/k/loader-stripped.elf'").unwrap();
    assert_eq!(osv.image, Image::Rofs(RofsImage {}));
    assert!(osv.ready.is_match(b"Booted up in 9.10 ms"));
    let linux = parse("preset = 'linux'\nkernel = '/k/vmlinuz'\nmodules = '/k/modules'").unwrap();
    assert!(matches!(&linux.image, Image::Initramfs(image) if image.load.contains(&"virtio_net".to_owned())));
    assert!(linux.panic.unwrap().is_match(b"[ 1.0] Kernel panic - not syncing: x"));
    let includeos = parse("preset = 'includeos'\nkernel = '/k/service.elf32'").unwrap();
    assert_eq!(
        (includeos.nic, includeos.stop),
        (Nic::VirtioPciTransitional, Stop::Quit)
    );
}

#[test]
fn an_existing_image_keeps_its_command_line_or_gets_another() {
    let disk = |writable: bool| format!("[[disks]]\npath = '/i'\nformat = 'qcow2'\nwritable = {writable}");
    let kept = parse(&format!("preset = 'osv-image'\n{}", disk(false))).unwrap();
    assert_eq!((kept.append_at, kept.append.is_none()), (Some(512), true));
    let own = "preset = 'osv-image'\nappend = '--ip=eth0,{ip},{mask} /app'\n";
    assert!(parse(&format!("{own}{}", disk(true))).unwrap().append.is_some());
    let wrong = parse(&format!("{own}kernel = '/k'\n{}", disk(false))).unwrap_err();
    let keys: Vec<&str> = wrong.problems.iter().map(|problem| problem.key).collect();
    assert_eq!(keys, ["append_at", "append"], "{wrong}");
}

#[test]
fn a_cloud_image_is_started_in_one_of_two_ways() {
    let cloud = |more: &str| {
        parse(&format!(
            "preset = 'cloud'\n{more}\n[[disks]]\npath = '/i'\nformat = 'raw'"
        ))
    };
    let start = |more: &str| match cloud(more).unwrap().image {
        Image::Cloud(image) => image.start,
        image => panic!("{image:?}"),
    };
    assert_eq!([start(""), start("start = 'ssh'")], [CloudStart::Unit, CloudStart::Ssh]);
    assert!(cloud("start = 'telnet'").is_err());
    let elsewhere = parse("preset = 'osv'\nkernel = '/k'\nstart = 'ssh'")
        .unwrap_err()
        .to_string();
    assert!(elsewhere.contains("start: only the image"), "{elsewhere}");
}

#[test]
fn shares_have_distinct_tags() {
    let shared = |share: &str| parse(&format!("preset = 'osv-virtiofs'\nkernel = '/k'\n{share}"));
    let none = shared("").unwrap();
    assert!(none.needs_virtiofsd() && none.shares.is_empty());
    let one = shared("virtiofsd = '/opt/virtiofsd'\n[[shares]]\npath = '/srv/data'\ntag = 'data'").unwrap();
    assert_eq!(one.virtiofsd, Some("/opt/virtiofsd".into()));
    assert!(!one.shares[0].writable, "by default");
    let twice = "[[shares]]\npath = '/a'\ntag = 'a'\n".repeat(2);
    for (bad, key) in [
        ("[[shares]]\npath = '/a,cache=always'\ntag = 'a'", "shares.path"),
        ("[[shares]]\npath = '/a'\ntag = 'a,x=y'", "shares.tag"),
        ("[[shares]]\npath = '/a'\ntag = ''", "shares.tag"),
        ("[[shares]]\npath = '/a'\ntag = 'root'", "shares.tag"),
        (
            &format!("[[shares]]\npath = '/a'\ntag = '{}'", "x".repeat(37)),
            "shares.tag",
        ),
        (&twice, "shares.tag"),
    ] {
        let problems = shared(bad).unwrap_err().problems;
        assert_eq!(
            problems.iter().map(|problem| problem.key).collect::<Vec<_>>(),
            [key],
            "{bad}"
        );
    }
    let idle = parse("preset = 'osv'\nkernel = '/k'\nvirtiofsd = '/v'").unwrap_err();
    assert_eq!(idle.problems[0].key, "virtiofsd");
}

#[test]
fn own_keys_override_the_preset() {
    let osv = parse("preset = 'osv'\nkernel = '/k'\nmachine = 'pc'\nmemory_mib = 64\ncpu = 'EPYC,-pmu'").unwrap();
    assert_eq!((osv.machine, osv.memory_mib), (Machine::Pc, 64));
    assert_eq!(osv.cpu.as_deref(), Some("EPYC,-pmu"));
}

#[test]
fn a_guest_can_be_described_without_a_preset() {
    let hermit = parse(
        "kernel = '/k/loader'\ninitrd = '/k/hermit'\nappend = '-ip {ip} -gateway {gateway} -mask {mask} -- {args}'\n\
         nic = 'virtio-net-pci-non-transitional'\nready = 'listening'\nstop = 'quit'\n",
    )
    .unwrap();
    assert_eq!((hermit.image, hermit.nic), (Image::None, Nic::VirtioPciModern));
    let unikraft = "kernel = '/k/service_qemu-x86_64'\nappend = 'netdev.ip={ip}/24:{gateway} -- {args}'\nstop = 'quit'\nready = 'Powered by'";
    assert_eq!(parse(unikraft).unwrap().stop, Stop::Quit);
}

#[test]
fn all_problems_are_reported_at_once() {
    let problems = parse(
        "kernel = 'k'\nmachine = 'z'\ncpu = 'host -nographic'\nappend = '{x}'\npanic = '('\nmemory_mib = 1\nexited = 'a'\nkernel_sha256 = '1'\n\
         [[disks]]\npath = '/a,b'\nformat = 'vmdk'",
    )
    .unwrap_err();
    let keys: Vec<&str> = problems.problems.iter().map(|problem| problem.key).collect();
    for key in [
        "kernel",
        "machine",
        "cpu",
        "append",
        "panic",
        "memory_mib",
        "exited",
        "kernel_sha256",
        "disks.path",
        "disks.format",
        "ready",
    ] {
        assert!(keys.contains(&key), "{key} is missing in {problems}");
    }
    assert!(problems.to_string().starts_with("/state/guests/x.toml: "), "{problems}");
}

#[test]
fn unknown_keys_and_presets_are_named() {
    let unknown = parse("preset = 'osv'\nkernel = '/k'\nkernl = 'x'")
        .unwrap_err()
        .to_string();
    assert!(unknown.contains("kernl"), "{unknown}");
    let preset = parse("preset = 'xen'").unwrap_err().to_string();
    assert!(
        preset.contains("osv, osv-image, osv-virtiofs, includeos, linux, cloud"),
        "{preset}"
    );
    assert!(parse("= [").is_err());
}

#[test]
fn a_path_cannot_inject_an_option() {
    for bad in ["-kernel", "rel", "/a,b", "/a b", "/a\\nb", ""] {
        assert!(parse(&format!("ready = 'x'\nkernel = \"{bad}\"")).is_err(), "{bad:?}");
    }
}
