use protocol::facts::{CpuFacts, HostFacts, HostState, KernelFacts, MemoryFacts, NumaNode, Temperature};

use super::*;
use crate::config::testing::{self, GOOD};

fn experiment(more: &str) -> Experiment {
    testing::experiment(&format!("{GOOD}{more}")).unwrap()
}

fn problems(more: &str) -> String {
    testing::problems(&format!("{GOOD}{more}"))
}

/// A quiet machine with four CPUs that meets every requirement.
fn ideal_host() -> HostFacts {
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
        services: vec![],
    }
}

/// A virtual machine that reports little.
fn opaque_host() -> HostFacts {
    HostFacts {
        runner_cpus: None,
        cpu: CpuFacts::default(),
        settings: KernelFacts::default(),
        memory: MemoryFacts::default(),
        now: HostState::default(),
        cgroup_version: None,
        ..ideal_host()
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

/// The controller on the machine with this boot id.
fn controller_on(boot: &str) -> Vec<GeneratorHost> {
    vec![GeneratorHost {
        boot_id: Some(boot.to_owned()),
        ..GeneratorHost::default()
    }]
}

#[test]
fn a_host_that_meets_every_requirement_passes() {
    let preflight = check(&experiment(ALL), &ideal_host(), &controller_on("this-boot")).unwrap();
    assert_eq!(preflight.met.len(), 18, "{preflight:?}");
    assert_eq!((preflight.waived.len(), preflight.shared_cpus.len()), (0, 0));
}

#[test]
fn all_unmet_requirements_are_reported_with_value_and_remedy() {
    let mut facts = ideal_host();
    facts.cpu.governor = Some("powersave".into());
    facts.cpu.turbo = Some(true);
    facts.cpu.idle_states.push("C6".into());
    facts.memory.swap_bytes = Some(64 << 20);
    facts.runner_cpus = None;
    facts.now.load_1m = Some(2.5);
    let unmet = check(&experiment(ALL), &facts, &controller_on("this-boot")).unwrap_err();
    insta::assert_snapshot!(unmet.join("\n"), @r#"
    [host] governor = "performance": powersave; run cpupower frequency-set --governor performance
    [host] turbo = false: on; run echo 1 > /sys/devices/system/cpu/intel_pstate/no_turbo, or with another driver echo 0 > /sys/devices/system/cpu/cpufreq/boost
    [host] c_states = "POLL,C1": POLL,C1,C6; run cpupower idle-set --disable N for each other state (`cpupower idle-info` lists the numbers)
    [host] swap = false: 64 MiB; run swapoff --all
    [host] max_load = 0.5: 2.5; stop other processes (`top`), and wait a minute
    [host] disjoint = true: the services and the runner share CPU 2-3; the runner and the load generator of load light share CPU 1; assign exclusive CPUs: cpuset in [resources], cpus in [generator], and cpus in runner.toml
    "#);
}

#[test]
fn unreported_values_are_not_met_and_can_be_waived() {
    let unmet = check(
        &experiment("[host]\ngovernor = \"performance\"\nmax_load = 1"),
        &opaque_host(),
        &[],
    )
    .unwrap_err();
    assert!(
        unmet[0].contains("the host does not report it") && unmet[0].contains("waive = [\"governor\"]"),
        "{unmet:?}"
    );
    assert_eq!(unmet.len(), 2);
    let waived = "[host]\ngovernor = \"performance\"\nwaive = [\"governor\"]";
    let preflight = check(&experiment(waived), &opaque_host(), &[]).unwrap();
    assert_eq!(
        preflight.waived,
        ["[host] governor = \"performance\": the host does not report it (waived)"]
    );
}

#[test]
fn load_generators_share_cpus_on_the_same_machine_only() {
    let shared = |generators: &[GeneratorHost]| {
        let experiment = experiment("[resources]\ncpuset = \"1-2\"\n[generator]\ncpus = \"2-3\"");
        check(&experiment, &ideal_host(), generators).unwrap().shared_cpus
    };
    let pinned = GeneratorHost {
        name: Some("l1".parse().unwrap()),
        boot_id: Some("this-boot".to_owned()),
        pinned: Some("1".parse().unwrap()),
        limits: None,
    };
    assert_eq!(
        shared(&[pinned]),
        ["the services and loader l1 of load light share CPU 1"]
    );
    assert_eq!(
        shared(&controller_on("this-boot")),
        ["the services and the load generator of load light share CPU 2"]
    );
    assert_eq!(shared(&controller_on("another")), [] as [&str; 0]);
    assert_eq!(shared(&[GeneratorHost::default()]), [] as [&str; 0]);
}

#[test]
fn missing_cpus_and_memory_nodes_are_unmet() {
    let resources = "[resources]\ncpuset = \"2-5\"\nmems = \"0-1\"";
    let unmet = check(&experiment(resources), &ideal_host(), &[]).unwrap_err();
    assert_eq!(
        unmet,
        [
            "[resources] cpuset = \"2-5\": host lab-2 has CPUs 0-3, not 4-5; use existing CPUs, or remove cpuset",
            "[resources] mems = \"0-1\": host lab-2 has memory nodes 0, not 1; use existing memory nodes, or remove mems",
        ]
    );
    check(&experiment(resources), &opaque_host(), &[]).unwrap();
    check(
        &experiment("[resources]\ncpuset = \"0-3\"\nmems = \"0\""),
        &ideal_host(),
        &[],
    )
    .unwrap();
}

#[test]
fn shortages_of_loaders_are_unmet() {
    let loader = |pinned: Option<&str>| GeneratorHost {
        name: Some("l1".parse().unwrap()),
        pinned: pinned.map(|cpus| cpus.parse().unwrap()),
        limits: Some(protocol::load::GeneratorLimits {
            cpus: Some("0-1".parse().unwrap()),
            open_files: Some(1 << 20),
            local_ports: Some(1 << 15),
        }),
        ..GeneratorHost::default()
    };
    let pinned_load = experiment("[generator]\ncpus = \"1-2\"");
    let unmet = check(&pinned_load, &ideal_host(), &[loader(None)]).unwrap_err();
    assert!(
        unmet.len() == 1
            && unmet[0].starts_with("loader l1: load light: cpus = \"1-2\": ")
            && unmet[0].contains("not 2;"),
        "{unmet:?}"
    );
    check(&pinned_load, &ideal_host(), &[loader(Some("1"))]).unwrap();
}

#[test]
fn invalid_values_are_reported() {
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
    assert!(problems("[host]\nwaive = true").contains("expected a list of strings"));
    assert!(problems("[host]\nwaive = [1]").contains("expected a list of strings"));
}

#[test]
fn unobservable_limits_stop_the_run() {
    let unmet = check(
        &experiment("[band]\nmax_temperature = 50\nmax_load = 0.5"),
        &opaque_host(),
        &[],
    )
    .unwrap_err();
    assert_eq!(unmet.len(), 2);
    assert!(
        unmet[1].contains("[band] max_temperature: the host does not report it"),
        "{unmet:?}"
    );
    check(&experiment("[band]\nmax_temperature = 50"), &ideal_host(), &[]).unwrap();
}

#[test]
fn exceeded_limits_are_reported_with_value_and_limit() {
    let band = experiment("[band]\nmax_load = 0.5\nmax_busy = 5\nmax_temperature = 50\nmax_warming = 3\nmax_dirty_mib = 1\nmin_free_mib = 9000").band;
    let initial = ideal_host().now;
    let now = HostState {
        load_1m: Some(0.7),
        busy_ticks: Some(20),
        all_ticks: Some(1100),
        dirty_bytes: Some(3 << 20),
        temperatures: vec![Temperature {
            sensor: "package".into(),
            millidegrees: 45_500,
        }],
        ..ideal_host().now
    };
    assert_eq!(
        settle::exceeded(&band, &initial, Some(&initial), &now),
        [
            "load average 0.7 exceeds 0.5",
            "CPU usage 10.0 % exceeds 5 %",
            "temperature rise since the start 5.5 K exceeds 3 K",
            "dirty memory 3.0 MiB exceeds 1 MiB",
            "available memory 8192 MiB is below 9000 MiB",
        ]
    );
    let no_band = experiment("").band;
    assert!(!no_band.asks() && settle::exceeded(&no_band, &initial, None, &now).is_empty());
}

#[test]
fn a_plan_shows_the_requirements() {
    let experiment = experiment(
        "[host]\nswap = false\nturbo = false\nwaive = [\"turbo\"]\n[band]\nmax_load = 0.5\notherwise = \"stop\"",
    );
    assert_eq!(
        requirements(&experiment),
        [
            "the host must have turbo = false (waived)",
            "the host must have swap = false",
            "before every trial, the host must come within the limits of [band] (max_load = 0.5) in at most 5m, otherwise the run stops",
        ]
    );
    assert_eq!(requirements(&self::experiment("")), [] as [String; 0]);
}
