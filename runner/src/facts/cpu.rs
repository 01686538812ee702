//! The processors, from `/sys/devices/system` and `/proc/cpuinfo`.

use std::collections::BTreeSet;

use protocol::facts::{CpuFacts, NumaNode};

use super::tree::{Tree, kibibytes, value};

const CPUS: &str = "sys/devices/system/cpu";
const NODES: &str = "sys/devices/system/node";

/// Facts about the processors.
#[must_use]
pub fn read(tree: &Tree) -> CpuFacts {
    let info = tree.text("proc/cpuinfo").unwrap_or_default();
    let first = |file: &str| format!("{CPUS}/cpu0/cpufreq/{file}");
    CpuFacts {
        sockets: distinct(tree, "topology/physical_package_id"),
        cores: distinct(tree, "topology/thread_siblings_list"),
        smt: tree.flag(&format!("{CPUS}/smt/active")),
        nodes: nodes(tree),
        governor: governor(tree),
        driver: tree.text(&first("scaling_driver")),
        min_khz: tree.number(&first("scaling_min_freq")),
        max_khz: tree.number(&first("scaling_max_freq")),
        turbo: turbo(tree),
        idle_driver: tree
            .text(&format!("{CPUS}/cpuidle/current_driver"))
            .filter(|driver| driver != "none"),
        idle_states: idle_states(tree),
        microcode: value(&info, "microcode").map(str::to_owned),
        isolated: tree.cpus(&format!("{CPUS}/isolated")),
        nohz_full: tree.cpus(&format!("{CPUS}/nohz_full")),
        is_virtual: value(&info, "flags").map(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
    }
}

/// The number of distinct values of a file over all CPUs; `None`: no CPU has it.
fn distinct(tree: &Tree, file: &str) -> Option<u32> {
    let values = distinct_values(tree, file);
    (!values.is_empty()).then(|| u32::try_from(values.len()).unwrap_or(u32::MAX))
}

/// The distinct values of a file over all CPUs.
fn distinct_values(tree: &Tree, file: &str) -> BTreeSet<String> {
    let cpus = tree.numbered(CPUS, "cpu").into_iter();
    cpus.filter_map(|(_, cpu)| tree.text(&format!("{cpu}/{file}")))
        .collect()
}

fn governor(tree: &Tree) -> Option<String> {
    let found: Vec<String> = distinct_values(tree, "cpufreq/scaling_governor").into_iter().collect();
    (!found.is_empty()).then(|| found.join(","))
}

/// `no_turbo` of intel_pstate is the opposite of `boost`, which all other drivers have.
fn turbo(tree: &Tree) -> Option<bool> {
    let intel = tree.flag(&format!("{CPUS}/intel_pstate/no_turbo")).map(|off| !off);
    intel.or_else(|| tree.flag(&format!("{CPUS}/cpufreq/boost")))
}

/// The enabled states of the first CPU. A name may contain spaces.
fn idle_states(tree: &Tree) -> Vec<String> {
    let states = tree.numbered(&format!("{CPUS}/cpu0/cpuidle"), "state").into_iter();
    states
        .filter(|(_, state)| tree.flag(&format!("{state}/disable")) != Some(true))
        .filter_map(|(_, state)| tree.text(&format!("{state}/name")))
        .collect()
}

fn nodes(tree: &Tree) -> Vec<NumaNode> {
    let nodes = tree.numbered(NODES, "node").into_iter();
    nodes
        .map(|(number, node)| NumaNode {
            node: number,
            cpus: tree.cpus(&format!("{node}/cpulist")),
            memory_bytes: tree
                .text(&format!("{node}/meminfo"))
                .and_then(|text| kibibytes(&text, &format!("Node {number} MemTotal"))),
        })
        .collect()
}
