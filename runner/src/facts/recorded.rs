//! Tests with trees of a virtual machine (recorded, Linux 6.18 under Firecracker) and of a server with two sockets (Linux 6.1, intel_pstate; written by
//! hand from the kernel's documentation), and with trees in which files are missing or broken.

use std::fs;

use super::tree::Tree;
use super::{cgroup_version, cpu, kernel, now};

const VIRTUAL: &[(&str, &str)] = &[
    (
        "proc/cpuinfo",
        "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC\nmicrocode\t: 0x1000065\nflags\t\t: fpu tsc hypervisor lahf_lm\n",
    ),
    (
        "proc/cmdline",
        "mitigations=auto console=ttyS0 quiet -- --init-argument secret\n",
    ),
    ("proc/sys/kernel/version", "#1 SMP PREEMPT_DYNAMIC @0\n"),
    (
        "proc/sys/kernel/random/boot_id",
        "778b5e70-01b2-470c-9665-c11b059a4a50\n",
    ),
    ("proc/sys/kernel/randomize_va_space", "2\n"),
    ("proc/sys/vm/swappiness", "60\n"),
    ("proc/sys/vm/overcommit_memory", "0\n"),
    ("proc/loadavg", "4.42 1.91 1.58 1/133 29878\n"),
    (
        "proc/meminfo",
        "MemTotal:       24684084 kB\nMemAvailable:   24125248 kB\nSwapTotal:             0 kB\nSwapFree:              0 kB\n\
         Dirty:              1432 kB\nWriteback:             0 kB\nHugePages_Total:       0\n",
    ),
    (
        "proc/stat",
        "cpu  100 2 30 800 10 0 5 3 0 0\ncpu0 50 1 15 400 5 0 3 1 0 0\n",
    ),
    ("sys/devices/system/cpu/cpu0/topology/physical_package_id", "0\n"),
    ("sys/devices/system/cpu/cpu1/topology/physical_package_id", "0\n"),
    ("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0\n"),
    ("sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "1\n"),
    ("sys/devices/system/cpu/cpu0/cpuidle/state0/name", "POLL\n"),
    ("sys/devices/system/cpu/cpu0/cpuidle/state0/disable", "0\n"),
    ("sys/devices/system/cpu/cpu0/cpuidle/state1/name", "haltpoll idle\n"),
    ("sys/devices/system/cpu/cpu0/cpuidle/state1/disable", "0\n"),
    ("sys/devices/system/cpu/cpuidle/current_driver", "haltpoll\n"),
    ("sys/devices/system/cpu/smt/active", "0\n"),
    ("sys/devices/system/cpu/isolated", "\n"),
    ("sys/devices/system/cpu/vulnerabilities/meltdown", "Not affected\n"),
    (
        "sys/devices/system/cpu/vulnerabilities/spec_rstack_overflow",
        "Vulnerable: Safe RET, no microcode\n",
    ),
    ("sys/devices/system/node/node0/cpulist", "0-1\n"),
    (
        "sys/devices/system/node/node0/meminfo",
        "Node 0 MemTotal:       16738508 kB\nNode 0 MemFree:        15508812 kB\n",
    ),
    (
        "sys/devices/system/clocksource/clocksource0/current_clocksource",
        "tsc\n",
    ),
    ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
    ("sys/kernel/mm/ksm/run", "0\n"),
    ("sys/module/kvm/parameters/halt_poll_ns", "200000\n"),
    ("sys/fs/cgroup/unified/cgroup.controllers", ""),
    ("sys/fs/cgroup/memory/tasks", ""),
];

const SERVER: &[(&str, &str)] = &[
    (
        "proc/cpuinfo",
        "processor\t: 0\nmicrocode\t: 0xb000040\nflags\t\t: fpu vme tsc\n",
    ),
    ("sys/devices/system/cpu/cpu0/topology/physical_package_id", "0\n"),
    ("sys/devices/system/cpu/cpu1/topology/physical_package_id", "1\n"),
    ("sys/devices/system/cpu/cpu2/topology/physical_package_id", "0\n"),
    ("sys/devices/system/cpu/cpu10/topology/physical_package_id", "1\n"),
    ("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0,2\n"),
    ("sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "1,10\n"),
    ("sys/devices/system/cpu/cpu2/topology/thread_siblings_list", "0,2\n"),
    ("sys/devices/system/cpu/cpu10/topology/thread_siblings_list", "1,10\n"),
    ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n"),
    ("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance\n"),
    ("sys/devices/system/cpu/cpu2/cpufreq/scaling_governor", "powersave\n"),
    ("sys/devices/system/cpu/cpu0/cpufreq/scaling_driver", "intel_pstate\n"),
    ("sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq", "800000\n"),
    ("sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq", "3400000\n"),
    ("sys/devices/system/cpu/intel_pstate/no_turbo", "1\n"),
    ("sys/devices/system/cpu/smt/active", "1\n"),
    ("sys/devices/system/cpu/isolated", "2,10\n"),
    ("sys/devices/system/cpu/nohz_full", "(null)\n"),
    ("sys/devices/system/cpu/cpuidle/current_driver", "none\n"),
    ("sys/devices/system/cpu/cpu0/cpuidle/state0/name", "POLL\n"),
    ("sys/devices/system/cpu/cpu0/cpuidle/state1/name", "C1\n"),
    ("sys/devices/system/cpu/cpu0/cpuidle/state2/name", "C6\n"),
    ("sys/devices/system/cpu/cpu0/cpuidle/state2/disable", "1\n"),
    (
        "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count",
        "3\n",
    ),
    (
        "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count",
        "4\n",
    ),
    (
        "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count",
        "0\n",
    ),
    ("sys/devices/system/node/node0/cpulist", "0,2\n"),
    ("sys/devices/system/node/node1/cpulist", "1,10\n"),
    ("sys/devices/system/node/node2/cpulist", "\n"),
    ("sys/class/thermal/thermal_zone0/type", "x86_pkg_temp\n"),
    ("sys/class/thermal/thermal_zone0/temp", "41000\n"),
    ("sys/class/thermal/thermal_zone1/type", "acpitz\n"),
    ("sys/class/thermal/thermal_zone1/temp", "not available\n"),
    ("sys/class/hwmon/hwmon0/name", "k10temp\n"),
    ("sys/class/hwmon/hwmon0/temp1_input", "55125\n"),
    ("sys/class/hwmon/hwmon0/temp1_label", "Tctl\n"),
    ("sys/class/hwmon/hwmon0/temp2_input", "-4000\n"),
    ("sys/fs/cgroup/cgroup.controllers", "cpu memory\n"),
];

fn recorded(files: &[(&str, &str)]) -> (tempfile::TempDir, Tree) {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let tree = Tree::at(root.path());
    (root, tree)
}

#[test]
fn the_facts_of_a_virtual_machine() {
    let (_root, tree) = recorded(VIRTUAL);
    let cpu = cpu::read(&tree);
    assert_eq!((cpu.sockets, cpu.cores, cpu.smt), (Some(1), Some(2), Some(false)));
    assert_eq!(
        (cpu.governor, cpu.turbo, cpu.driver, cpu.max_khz),
        (None, None, None, None)
    );
    assert_eq!((cpu.isolated, cpu.nohz_full), (None, None));
    assert_eq!(cpu.idle_states, ["POLL", "haltpoll idle"]);
    assert_eq!(cpu.microcode.as_deref(), Some("0x1000065"));
    assert_eq!(cpu.is_virtual, Some(true));
    assert_eq!(cpu.nodes.len(), 1);
    assert_eq!(cpu.nodes[0].memory_bytes, Some(16_738_508 << 10));
    let settings = kernel::read(&tree);
    assert_eq!(
        settings.command_line.as_deref(),
        Some("mitigations=auto console=ttyS0 quiet")
    );
    assert_eq!((settings.aslr, settings.halt_poll_ns), (Some(2), Some(200_000)));
    let weak: Vec<_> = settings.mitigations.keys().collect();
    assert_eq!(weak, ["spec_rstack_overflow"]);
    let memory = kernel::memory(&tree);
    assert_eq!((memory.thp.as_deref(), memory.ksm), (Some("madvise"), Some(false)));
    assert_eq!((memory.swap_bytes, memory.huge_pages), (Some(0), Some(0)));
    let now = now::read(&tree);
    assert_eq!(
        (now.load_1m, now.busy_ticks, now.all_ticks),
        (Some(4.42), Some(140), Some(950))
    );
    assert_eq!((now.dirty_bytes, now.swap_used_bytes), (Some(1432 << 10), Some(0)));
    assert_eq!((now.hottest(), now.throttles), (None, None));
    assert_eq!(cgroup_version(&tree), Some(1), "the host is a hybrid");
}

#[test]
fn the_facts_of_a_server_with_two_sockets() {
    let (_root, tree) = recorded(SERVER);
    let cpu = cpu::read(&tree);
    assert_eq!((cpu.sockets, cpu.cores, cpu.smt), (Some(2), Some(2), Some(true)));
    assert_eq!(cpu.governor.as_deref(), Some("performance,powersave"));
    assert_eq!((cpu.turbo, cpu.max_khz), (Some(false), Some(3_400_000)));
    assert_eq!(cpu.idle_driver, None);
    assert_eq!(cpu.idle_states, ["POLL", "C1"]);
    assert_eq!(cpu.isolated.unwrap().cpus(), [2, 10]);
    assert_eq!((cpu.nohz_full, cpu.is_virtual), (None, Some(false)));
    let nodes: Vec<_> = cpu.nodes.iter().map(|node| (node.node, node.cpus.is_some())).collect();
    assert_eq!(nodes, [(0, true), (1, true), (2, false)]);
    let now = now::read(&tree);
    let sensors: Vec<_> = now
        .temperatures
        .iter()
        .map(|t| (t.sensor.as_str(), t.millidegrees))
        .collect();
    assert_eq!(
        sensors,
        [
            ("x86_pkg_temp", 41_000),
            ("k10temp Tctl", 55_125),
            ("k10temp temp2", -4000)
        ]
    );
    assert_eq!((now.hottest(), now.throttles), (Some(55.125), Some(7)));
    assert_eq!(cgroup_version(&tree), Some(2));
}

#[test]
fn missing_or_broken_files_are_absent_facts() {
    let (_root, empty) = recorded(&[]);
    assert_eq!(cpu::read(&empty), Default::default());
    assert_eq!(kernel::read(&empty), Default::default());
    assert_eq!(kernel::memory(&empty), Default::default());
    assert_eq!(now::read(&empty), Default::default());
    assert_eq!(cgroup_version(&empty), None);
    let (_root, broken) = recorded(&[
        ("proc/cpuinfo", "processor"),
        ("proc/meminfo", "MemAvailable: many kB\nSwapTotal: 5 kB\nDirty: 1 kB"),
        ("proc/stat", "cpu  1 2 3"),
        ("proc/sys/kernel/randomize_va_space", "yes\n"),
        ("sys/devices/system/cpu/smt/active", "7\n"),
        ("sys/devices/system/cpu/cpufreq/boost", "\n"),
        ("sys/kernel/mm/transparent_hugepage/enabled", "always madvise never"),
    ]);
    assert_eq!(cpu::read(&broken), Default::default());
    assert_eq!(kernel::read(&broken).aslr, None);
    assert_eq!(kernel::memory(&broken).thp, None);
    let now = now::read(&broken);
    assert_eq!(
        (now.busy_ticks, now.available_bytes, now.swap_used_bytes),
        (None, None, None)
    );
    assert_eq!(now.dirty_bytes, None, "a sum needs both parts");
}
