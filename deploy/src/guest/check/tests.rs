//! Valid and invalid descriptions.

use super::*;

fn parse(text: &str) -> Result<Guest, Vec<Problem>> {
    Guest::parse(Path::new("/state/guests/x.toml"), text)
}

/// Problems, a line each.
fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

/// The table and key of each problem.
fn keys(problems: &[Problem]) -> Vec<String> {
    let key = |problem: &Problem| format!("{}{}", problem.table, problem.key.as_deref().unwrap_or_default());
    problems.iter().map(key).collect()
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
    assert_eq!(keys(&wrong), ["append", "append_at"]);
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
    let elsewhere = lines(&parse("preset = 'osv'\nkernel = '/k'\nstart = 'ssh'").unwrap_err());
    assert!(elsewhere.contains("start = 'ssh': only the image"), "{elsewhere}");
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
        ("[[shares]]\npath = '/a,cache=always'\ntag = 'a'", "[[shares]] 1path"),
        ("[[shares]]\npath = '/a'\ntag = 'a,x=y'", "[[shares]] 1tag"),
        ("[[shares]]\npath = '/a'\ntag = ''", "[[shares]] 1tag"),
        ("[[shares]]\npath = '/a'\ntag = 'root'", "[[shares]] 1tag"),
        (
            &format!("[[shares]]\npath = '/a'\ntag = '{}'", "x".repeat(37)),
            "[[shares]] 1tag",
        ),
        (&twice, "[[shares]] 2tag"),
    ] {
        assert_eq!(keys(&shared(bad).unwrap_err()), [key], "{bad}");
    }
    let idle = parse("preset = 'osv'\nkernel = '/k'\nvirtiofsd = '/v'").unwrap_err();
    assert_eq!(keys(&idle), ["virtiofsd"]);
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
    let (keys, text) = (keys(&problems), lines(&problems));
    for key in [
        "kernel",
        "machine",
        "cpu",
        "append",
        "panic",
        "memory_mib",
        "exited",
        "kernel_sha256",
        "[[disks]] 1path",
        "[[disks]] 1format",
        "ready",
    ] {
        assert!(keys.iter().any(|found| found == key), "{key} is missing in {text}");
    }
    assert!(
        text.contains("/state/guests/x.toml:2: machine = 'z': unknown value; write \"q35\" or"),
        "{text}"
    );
}

#[test]
fn unknown_keys_and_presets_are_named() {
    let unknown = lines(&parse("preset = 'osv'\nkernel = '/k'\nkernl = 'x'\nmemory_mib = '64MB'").unwrap_err());
    assert_eq!(
        unknown,
        "/state/guests/x.toml:3: kernl = 'x': unknown key; did you mean kernel?\n\
         /state/guests/x.toml:4: memory_mib = '64MB': not a whole number of MiB; write e.g. \"64MiB\" or \"2GiB\"\n"
    );
    let preset = lines(&parse("preset = 'xen'").unwrap_err());
    assert!(
        preset.contains("\"osv\" or \"osv-image\" or \"osv-virtiofs\" or \"includeos\" or \"linux\" or \"cloud\""),
        "{preset}"
    );
    // A fault that a key of a preset causes is located in the preset.
    let stop = lines(&parse("preset = 'linux'\nkernel = '/k'\nmodules = '/m'\nvmm = 'firecracker'").unwrap_err());
    assert_eq!(
        stop,
        "preset linux:11: stop = \"powerdown\": firecracker is stopped by a signal; set stop = \"quit\", or use QEMU\n"
    );
    assert!(parse("= [").is_err());
}

#[test]
fn a_path_cannot_inject_an_option() {
    for bad in ["-kernel", "rel", "/a,b", "/a b", "/a\\nb", ""] {
        assert!(parse(&format!("ready = 'x'\nkernel = \"{bad}\"")).is_err(), "{bad:?}");
    }
}
