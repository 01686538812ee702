//! The limits of `[band]`, which the host must be within before every trial.

use protocol::facts::HostState;

use crate::config::{Band, Otherwise, show_duration};

/// Bytes per MiB.
const MIB: f64 = 1_048_576.0;

/// The exceeded limits, one line each. `initial` is the state of the host when the run began, `previous` that of a second ago;
/// without it CPU usage is unknown.
#[must_use]
pub fn exceeded(band: &Band, initial: &HostState, previous: Option<&HostState>, now: &HostState) -> Vec<String> {
    let mut found = Vec::new();
    let mut at_most = |limit: Option<f64>, value: Option<f64>, name: &str, unit: &str| {
        let Some(limit) = limit else { return };
        match value {
            Some(value) if value <= limit => {}
            Some(value) => found.push(format!("{name} {value:.1}{unit} exceeds {limit}{unit}")),
            None => found.push(format!("{name} not measured yet")),
        }
    };
    let mib = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64 / MIB);
    let to_f64 = |limit: Option<u64>| limit.map(|limit| limit as f64);
    let busy = previous.and_then(|previous| now.busy_percent_since(previous));
    let warming = now.hottest().zip(initial.hottest()).map(|(now, initial)| now - initial);
    at_most(band.max_load, now.load_1m, "load average", "");
    at_most(band.max_busy, busy, "CPU usage", " %");
    at_most(band.max_temperature, now.hottest(), "temperature", " °C");
    at_most(band.max_warming, warming, "temperature rise since the start", " K");
    at_most(to_f64(band.max_dirty_mib), mib(now.dirty_bytes), "dirty memory", " MiB");
    if let (Some(least), free) = (band.min_free_mib, mib(now.available_bytes))
        && free.is_none_or(|free| free < least as f64)
    {
        let free = free.map_or("unknown".to_owned(), |free| format!("{free:.0} MiB"));
        found.push(format!("available memory {free} is below {least} MiB"));
    }
    found
}

/// Limits that cannot be checked on this host.
pub(super) fn unobservable(band: &Band, now: &HostState) -> Vec<String> {
    let limits = [
        ("max_load", band.max_load.is_some(), now.load_1m.is_some()),
        ("max_busy", band.max_busy.is_some(), now.all_ticks.is_some()),
        (
            "max_temperature",
            band.max_temperature.is_some(),
            now.hottest().is_some(),
        ),
        ("max_warming", band.max_warming.is_some(), now.hottest().is_some()),
        ("max_dirty_mib", band.max_dirty_mib.is_some(), now.dirty_bytes.is_some()),
        (
            "min_free_mib",
            band.min_free_mib.is_some(),
            now.available_bytes.is_some(),
        ),
    ];
    let missing = limits.iter().filter(|(_, limited, reported)| *limited && !reported);
    let line = |(key, ..): &(&str, bool, bool)| {
        format!("[band] {key}: the host does not report it, so the limit can never be met; remove it")
    };
    missing.map(line).collect()
}

/// The limits, for a plan.
pub(super) fn description(band: &Band) -> Option<String> {
    let number = |key: &str, value: Option<String>| value.map(|value| format!("{key} = {value}"));
    let text = |value: Option<f64>| value.map(|value| value.to_string());
    let mib = |value: Option<u64>| value.map(|value| value.to_string());
    let limits: Vec<String> = [
        number("max_load", text(band.max_load)),
        number("max_busy", text(band.max_busy)),
        number("max_temperature", text(band.max_temperature)),
        number("max_warming", text(band.max_warming)),
        number("max_dirty_mib", mib(band.max_dirty_mib)),
        number("min_free_mib", mib(band.min_free_mib)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let otherwise = match band.otherwise {
        Otherwise::Suspect => "otherwise the trial is suspect",
        Otherwise::Stop => "otherwise the run stops",
    };
    (!limits.is_empty()).then(|| {
        format!(
            "before every trial, the host must come within the limits of [band] ({}) in at most {}, {otherwise}",
            limits.join(", "),
            show_duration(band.deadline)
        )
    })
}
