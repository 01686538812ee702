//! Kernel settings, from `/proc` and `/sys`.

use std::collections::BTreeMap;

use protocol::facts::{KernelFacts, MemoryFacts};

use super::tree::{Tree, kibibytes, selected, value};

/// The kernel's build, boot parameters and settings.
#[must_use]
pub fn read(tree: &Tree) -> KernelFacts {
    KernelFacts {
        build: tree.text("proc/sys/kernel/version"),
        command_line: tree.text("proc/cmdline").map(|line| kernel_parameters(&line)),
        boot_id: tree.text("proc/sys/kernel/random/boot_id"),
        clocksource: tree.text("sys/devices/system/clocksource/clocksource0/current_clocksource"),
        aslr: tree.number("proc/sys/kernel/randomize_va_space"),
        mitigations: mitigations(tree),
        halt_poll_ns: tree.number("sys/module/kvm/parameters/halt_poll_ns"),
    }
}

/// The settings of memory management.
#[must_use]
pub fn memory(tree: &Tree) -> MemoryFacts {
    let info = tree.text("proc/meminfo").unwrap_or_default();
    MemoryFacts {
        thp: tree
            .text("sys/kernel/mm/transparent_hugepage/enabled")
            .and_then(|text| selected(&text).map(str::to_owned)),
        ksm: tree.number::<u8>("sys/kernel/mm/ksm/run").map(|run| run == 1),
        swap_bytes: kibibytes(&info, "SwapTotal"),
        swappiness: tree.number("proc/sys/vm/swappiness"),
        overcommit: tree.number("proc/sys/vm/overcommit_memory"),
        huge_pages: value(&info, "HugePages_Total").and_then(|number| number.parse().ok()),
    }
}

/// The command line up to `--`. The rest is passed to init and may contain secrets.
fn kernel_parameters(line: &str) -> String {
    let words: Vec<&str> = line.split_ascii_whitespace().take_while(|word| *word != "--").collect();
    words.join(" ")
}

fn mitigations(tree: &Tree) -> BTreeMap<String, String> {
    const FOLDER: &str = "sys/devices/system/cpu/vulnerabilities";
    let names = tree.names(FOLDER).into_iter();
    let read = |name: String| Some((name.clone(), tree.text(&format!("{FOLDER}/{name}"))?));
    names
        .filter_map(read)
        .filter(|(_, state)| state != "Not affected")
        .collect()
}
