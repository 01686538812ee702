//! Facts that change by the second: load, CPU time, memory, temperatures, the kernel's log.

use protocol::facts::{HostState, Temperature};

use super::tree::{Tree, kibibytes};

/// The host now. `kernel_log` is not read from the tree; the caller sets it.
#[must_use]
pub fn read(tree: &Tree) -> HostState {
    let info = tree.text("proc/meminfo").unwrap_or_default();
    let ticks = tree.text("proc/stat").and_then(|text| ticks(&text));
    let sum = |a: Option<u64>, b: Option<u64>| Some(a? + b?);
    let swap = |key| kibibytes(&info, key);
    HostState {
        load_1m: tree.text("proc/loadavg").and_then(|text| load(&text)),
        busy_ticks: ticks.map(|(busy, _)| busy),
        all_ticks: ticks.map(|(_, all)| all),
        available_bytes: swap("MemAvailable"),
        dirty_bytes: sum(swap("Dirty"), swap("Writeback")),
        swap_used_bytes: swap("SwapTotal").and_then(|total| total.checked_sub(swap("SwapFree")?)),
        temperatures: temperatures(tree),
        throttles: throttles(tree),
        kernel_log: None,
    }
}

/// The first number of `/proc/loadavg`.
fn load(text: &str) -> Option<f64> {
    text.split_ascii_whitespace()
        .next()?
        .parse()
        .ok()
        .filter(|load: &f64| load.is_finite())
}

/// Busy and all ticks of the first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal. User and nice include guest and
/// guest_nice.
fn ticks(text: &str) -> Option<(u64, u64)> {
    let mut fields = text.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace();
    let mut values = [0u64; 8];
    for value in &mut values {
        *value = fields.next()?.parse().ok()?;
    }
    let all = values.iter().sum::<u64>();
    Some((all - values[3] - values[4], all))
}

/// The temperatures of thermal zones and of `hwmon` sensors.
fn temperatures(tree: &Tree) -> Vec<Temperature> {
    const ZONES: &str = "sys/class/thermal";
    const CHIPS: &str = "sys/class/hwmon";
    let reading = |sensor: String, path: &str| {
        let millidegrees = tree.number(path)?;
        Some(Temperature { sensor, millidegrees })
    };
    let zone = |(_, zone): (u32, String)| {
        let sensor = tree.text(&format!("{zone}/type"))?;
        reading(sensor, &format!("{zone}/temp"))
    };
    let chip = |(_, chip): (u32, String)| -> Vec<Temperature> {
        let name = tree.text(&format!("{chip}/name")).unwrap_or_else(|| "hwmon".to_owned());
        let inputs = tree.names(&chip).into_iter().filter(|file| file.starts_with("temp"));
        inputs
            .filter_map(|file| {
                let input = file.strip_suffix("_input")?;
                let label = tree
                    .text(&format!("{chip}/{input}_label"))
                    .unwrap_or_else(|| input.to_owned());
                reading(format!("{name} {label}"), &format!("{chip}/{file}"))
            })
            .collect()
    };
    let zones = tree.numbered(ZONES, "thermal_zone").into_iter().filter_map(zone);
    zones
        .chain(tree.numbered(CHIPS, "hwmon").into_iter().flat_map(chip))
        .collect()
}

/// The throttle counts of all cores and packages; `None`: the processor has no such counters.
fn throttles(tree: &Tree) -> Option<u64> {
    let cpus = tree.numbered("sys/devices/system/cpu", "cpu");
    let counts = cpus.iter().flat_map(|(_, cpu)| {
        ["core", "package"]
            .into_iter()
            .filter_map(move |what| tree.number::<u64>(&format!("{cpu}/thermal_throttle/{what}_throttle_count")))
    });
    let counts: Vec<u64> = counts.collect();
    (!counts.is_empty()).then(|| counts.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_time_is_counted_once_and_a_truncated_line_not_at_all() {
        assert_eq!(
            ticks("cpu  10 1 5 100 20 2 3 4 7 1\ncpu0 1 1 1 1 1 1 1 1\n"),
            Some((25, 145))
        );
        for short in [
            "",
            "cpu ",
            "cpu  1 2 3 4 5 6 7",
            "cpu0 1 2 3 4 5 6 7 8",
            "cpu  1 2 3 4 5 6 7 x",
        ] {
            assert_eq!(ticks(short), None, "{short:?}");
        }
        assert_eq!(load("0.42 1.91 1.58 1/133 29878"), Some(0.42));
        assert_eq!((load(""), load("nan 1 2")), (None, None));
    }
}
