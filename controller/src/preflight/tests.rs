use protocol::facts::{CpuFacts, HostFacts, HostState, KernelFacts, MemoryFacts, NumaNode, Temperature};

use super::*;
use crate::config::testing::{self, GOOD};

fn experiment(more: &str) -> Experiment {
    testing::experiment(&format!("{GOOD}{more}")).unwrap()
}

fn problems(more: &str) -> String {
    testing::problems(&format!("{GOOD}{more}"))
}

/// A quiet machine of four CPUs that is all that one could ask for.
fn good() -> HostFacts {
    HostFacts {
        host: "lab-2".parse().unwrap(),
        runner_version: "0.1.0".into(),
        runner_cpus: Some("0".parse().unwrap()),
        os: "Debian 12".into(),
        kernel: "6.1.0".into(),
        arch: "x86_64".into(),
        cpu_model: "a CPU".into(),
        cpus: 4,
        memory_bytes: 1 << 34,
        clock_ticks_per_s: 100,
        page_bytes: 4096,
        cgroup_version: Some(2),
        kvm_opens: true,
        cpu: CpuFacts {
            smt: Some(false),
            nodes: vec![NumaNode {
                node: 0,
                cpus: Some("0-3".parse().unwrap()),
                memory_bytes: None,
            }],
            governor: Some("performance".into()),
            turbo: Some(false),
            idle_states: vec!["POLL".into(), "C1".into()],
            microcode: Some("0x1".into()),
            isolated: Some("2-3".parse().unwrap()),
            is_virtual: Some(false),
            ..CpuFacts::default()
        },
        settings: KernelFacts {
            boot_id: Some("this-boot".into()),
            clocksource: Some("tsc".into()),
            aslr: Some(2),
            ..KernelFacts::default()
        },
        memory: MemoryFacts {
            thp: Some("never".into()),
            ksm: Some(false),
            swap_bytes: Some(0),
            ..MemoryFacts::default()
        },
        now: HostState {
            load_1m: Some(0.1),
            busy_ticks: Some(10),
            all_ticks: Some(1000),
            available_bytes: Some(1 << 33),
            dirty_bytes: Some(0),
            temperatures: vec![Temperature {
                sensor: "package".into(),
                millidegrees: 40_000,
            }],
            ..HostState::default()
        },
        programs: vec![],
        platforms: vec![],
    }
}

/// A virtual machine that tells little.
fn blind() -> HostFacts {
    HostFacts {
        runner_cpus: None,
        cpu: CpuFacts::default(),
        settings: KernelFacts::default(),
        memory: MemoryFacts::default(),
        now: HostState::default(),
        cgroup_version: None,
        ..good()
    }
}

const ALL: &str = r#"
[resources]
cpuset = "2-3"
[generator]
cpus = "1"
[host]
governor = "performance"
turbo = false
smt = false
c_states = "POLL,C1"
aslr = 2
thp = "never"
ksm = false
swap = false
clocksource = "tsc"
cgroup = 2
kernel = "6.1.0"
microcode = "0x1"
bare_metal = true
isolated = "2-3"
max_load = 0.5
min_free_mib = 1024
max_temperature = 60
disjoint = true
"#;

/// The controller on the machine with this boot.
fn here(boot: &str) -> Vec<Generator> {
    vec![Generator {
        boot_id: Some(boot.to_owned()),
        ..Generator::default()
    }]
}

#[test]
fn a_host_that_is_all_that_is_asked_passes() {
    let preflight = check(&experiment(ALL), &good(), &here("this-boot")).unwrap();
    assert_eq!(preflight.met.len(), 18, "{preflight:?}");
    assert_eq!((preflight.waived.len(), preflight.shared_cpus.len()), (0, 0));
}

#[test]
fn everything_that_is_unmet_is_told_at_once_with_what_was_found_and_what_mends_it() {
    let mut facts = good();
    facts.cpu.governor = Some("powersave".into());
    facts.cpu.turbo = Some(true);
    facts.cpu.idle_states.push("C6".into());
    facts.memory.swap_bytes = Some(64 << 20);
    facts.runner_cpus = None;
    facts.now.load_1m = Some(2.5);
    let unmet = check(&experiment(ALL), &facts, &here("this-boot")).unwrap_err();
    insta::assert_snapshot!(unmet.join("\n"), @r#"
    [host] governor = "performance": powersave; mend: cpupower frequency-set --governor performance
    [host] turbo = false: on; mend: echo 1 > /sys/devices/system/cpu/intel_pstate/no_turbo, or with another driver: echo 0 > /sys/devices/system/cpu/cpufreq/boost
    [host] c_states = "POLL,C1": POLL,C1,C6; mend: cpupower idle-set --disable N for each of the others (`cpupower idle-info` numbers them)
    [host] swap = false: 64 MiB; mend: swapoff --all
    [host] max_load = 0.5: 2.5; end what else runs (`top`), and wait a minute
    [host] disjoint = true: the services and the runner share CPU 2-3; the runner and the generator of load light share CPU 1; give each its own: cpuset in [resources], cpus in [generator], and cpus in runner.toml
    "#);
}

#[test]
fn what_the_host_does_not_tell_is_not_met_and_can_be_waived() {
    let unmet = check(
        &experiment("[host]\ngovernor = \"performance\"\nmax_load = 1"),
        &blind(),
        &[],
    )
    .unwrap_err();
    assert!(
        unmet[0].contains("the host does not tell") && unmet[0].contains("waive = [\"governor\"]"),
        "{unmet:?}"
    );
    assert_eq!(unmet.len(), 2);
    let waived = "[host]\ngovernor = \"performance\"\nwaive = [\"governor\"]";
    let preflight = check(&experiment(waived), &blind(), &[]).unwrap();
    assert_eq!(
        preflight.waived,
        ["[host] governor = \"performance\": the host does not tell (waived)"]
    );
}

#[test]
fn the_generator_shares_cpus_only_on_the_services_machine() {
    let shared = |generators: &[Generator]| {
        let experiment = experiment("[resources]\ncpuset = \"1-2\"\n[generator]\ncpus = \"2-3\"");
        check(&experiment, &good(), generators).unwrap().shared_cpus
    };
    let pinned = Generator {
        name: Some("l1".parse().unwrap()),
        boot_id: Some("this-boot".to_owned()),
        pinned: Some("1".parse().unwrap()),
        limits: None,
    };
    assert_eq!(
        shared(&[pinned]),
        ["the services and the loader l1 of load light share CPU 1"]
    );
    assert_eq!(
        shared(&here("this-boot")),
        ["the services and the generator of load light share CPU 2"]
    );
    assert_eq!(shared(&here("another")), [] as [&str; 0]);
    assert_eq!(shared(&[Generator::default()]), [] as [&str; 0]);
}

#[test]
fn cpus_and_nodes_that_the_host_does_not_have_are_unmet() {
    let resources = "[resources]\ncpuset = \"2-5\"\nmems = \"0-1\"";
    let unmet = check(&experiment(resources), &good(), &[]).unwrap_err();
    assert_eq!(
        unmet,
        [
            "[resources] cpuset = \"2-5\": host lab-2 has CPUs 0-3 and not 4-5; name CPUs that it has, or leave cpuset out",
            "[resources] mems = \"0-1\": host lab-2 has memory nodes 0 and not 1; name memory nodes that it has, or leave mems out",
        ]
    );
    check(&experiment(resources), &blind(), &[]).unwrap();
    check(&experiment("[resources]\ncpuset = \"0-3\"\nmems = \"0\""), &good(), &[]).unwrap();
}

#[test]
fn what_a_loader_lacks_is_unmet() {
    let loader = |pinned: Option<&str>| Generator {
        name: Some("l1".parse().unwrap()),
        pinned: pinned.map(|cpus| cpus.parse().unwrap()),
        limits: Some(protocol::load::GeneratorLimits {
            cpus: Some("0-1".parse().unwrap()),
            open_files: Some(1 << 20),
            local_ports: Some(1 << 15),
        }),
        ..Generator::default()
    };
    let pinned_load = experiment("[generator]\ncpus = \"1-2\"");
    let unmet = check(&pinned_load, &good(), &[loader(None)]).unwrap_err();
    assert!(
        unmet.len() == 1
            && unmet[0].starts_with("loader l1: load light: cpus = \"1-2\": ")
            && unmet[0].contains("not 2;"),
        "{unmet:?}"
    );
    check(&pinned_load, &good(), &[loader(Some("1"))]).unwrap();
}

#[test]
fn bad_words_are_told_as_such() {
    insta::assert_snapshot!(problems("[host]\nturbo = \"off\"\naslr = 3\nthp = \"sometimes\"\nswap = false\nwaive = [\"swop\"]\nmax_load = -1\n[band]\nmax_busy = 101\notherwise = \"stopp\"\n[generator]\ncpus = \"x\""), @r#"
    x.toml:14: [host]: turbo = "off": expected true or false; write it without quotation marks
    x.toml:15: [host]: aslr = 3: ASLR is 0 to 2; write e.g. 2
    x.toml:16: [host]: thp = "sometimes": unknown value; write "always" or "madvise" or "never"
    x.toml:19: [host]: max_load = -1: a load average is 0 to 1000000; write e.g. 0.5
    x.toml:21: [band]: max_busy = 101: a share of the CPUs in percent is 0 to 100; write e.g. 5
    x.toml:22: [band]: otherwise = "stopp": unknown value; did you mean "stop"?
    x.toml:24: [generator]: cpus = "x": invalid list of CPUs; write it as the kernel does, e.g. "0-1,3" (numbers below 4096)
    "#);
    assert!(problems("[host]\nswap = false\nwaive = [\"swop\"]").contains("did you mean \"swap\"?"));
    assert!(problems("[host]\nwaive = \"swap\"").contains("expected a list of strings"));
    assert!(problems("[host]\nwaive = [1]").contains("expected a list of strings"));
}

#[test]
fn a_band_that_can_never_be_seen_stops_the_run_at_once() {
    let unmet = check(
        &experiment("[band]\nmax_temperature = 50\nmax_load = 0.5"),
        &blind(),
        &[],
    )
    .unwrap_err();
    assert_eq!(unmet.len(), 2);
    assert!(
        unmet[1].contains("[band] max_temperature: the host does not tell it"),
        "{unmet:?}"
    );
    check(&experiment("[band]\nmax_temperature = 50"), &good(), &[]).unwrap();
}

#[test]
fn what_is_out_of_band_is_told_with_its_limit() {
    let band = experiment("[band]\nmax_load = 0.5\nmax_busy = 5\nmax_temperature = 50\nmax_warming = 3\nmax_dirty_mib = 1\nmin_free_mib = 9000").band;
    let start = good().now;
    let now = HostState {
        load_1m: Some(0.7),
        busy_ticks: Some(20),
        all_ticks: Some(1100),
        dirty_bytes: Some(3 << 20),
        temperatures: vec![Temperature {
            sensor: "package".into(),
            millidegrees: 45_500,
        }],
        ..good().now
    };
    assert_eq!(
        band::outside(&band, &start, Some(&start), &now),
        [
            "load 0.7, at most 0.5 is in band",
            "CPUs busy 10.0 %, at most 5 % is in band",
            "warmer than at the start by 5.5 K, at most 3 K is in band",
            "dirty memory 3.0 MiB, at most 1 MiB is in band",
            "free memory 8192 MiB, at least 9000 MiB is in band",
        ]
    );
    let no_band = experiment("").band;
    assert!(!no_band.asks() && band::outside(&no_band, &start, None, &now).is_empty());
}

#[test]
fn a_plan_shows_what_is_asked_for() {
    let experiment = experiment(
        "[host]\nswap = false\nturbo = false\nwaive = [\"turbo\"]\n[band]\nmax_load = 0.5\notherwise = \"stop\"",
    );
    assert_eq!(
        asked(&experiment),
        [
            "the host must have turbo = false (waived)",
            "the host must have swap = false",
            "before every trial the host must be back in band (max_load = 0.5), waited for at most 5m, then the run stops",
        ]
    );
    assert_eq!(asked(&self::experiment("")), [] as [String; 0]);
}
