//! What keeps the host from the next trial: `[band]` against what the runner sees.

use protocol::facts::HostState;

use crate::config::{Band, Otherwise, show_duration};

/// Bytes in a MiB.
const MIB: f64 = 1_048_576.0;

/// What is out of band, one line each; empty: the next trial may begin. `start` is how the host was when the run began, `earlier` a second ago;
/// without it the share that is busy is not known yet.
#[must_use]
pub fn outside(band: &Band, start: &HostState, earlier: Option<&HostState>, now: &HostState) -> Vec<String> {
    let mut found = Vec::new();
    let mut most = |limit: Option<f64>, value: Option<f64>, what: &str, unit: &str| {
        let Some(limit) = limit else { return };
        match value {
            Some(value) if value <= limit => {}
            Some(value) => found.push(format!("{what} {value:.1}{unit}, at most {limit}{unit} is in band")),
            None => found.push(format!("{what} not known yet")),
        }
    };
    let mib = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64 / MIB);
    let whole = |limit: Option<u64>| limit.map(|limit| limit as f64);
    let busy = earlier.and_then(|earlier| now.busy_percent_since(earlier));
    let warming = now.hottest().zip(start.hottest()).map(|(now, then)| now - then);
    most(band.max_load, now.load_1m, "load", "");
    most(band.max_busy, busy, "CPUs busy", " %");
    most(band.max_temperature, now.hottest(), "temperature", " °C");
    most(band.max_warming, warming, "warmer than at the start by", " K");
    most(whole(band.max_dirty_mib), mib(now.dirty_bytes), "dirty memory", " MiB");
    if let (Some(least), free) = (band.min_free_mib, mib(now.available_bytes))
        && free.is_none_or(|free| free < least as f64)
    {
        let free = free.map_or("unknown".to_owned(), |free| format!("{free:.0} MiB"));
        found.push(format!("free memory {free}, at least {least} MiB is in band"));
    }
    found
}

/// What is asked for and can never be seen on this host.
pub(super) fn blind(band: &Band, now: &HostState) -> Vec<String> {
    let seen = [
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
    let missing = seen.iter().filter(|(_, asked, told)| *asked && !told);
    let line = |(key, ..): &(&str, bool, bool)| {
        format!("[band] {key}: the host does not tell it, so no trial would ever begin in band; leave it out")
    };
    missing.map(line).collect()
}

/// What is asked for, for a plan.
pub(super) fn asked(band: &Band) -> Option<String> {
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
        Otherwise::Suspect => "then the trial is suspect",
        Otherwise::Stop => "then the run stops",
    };
    (!limits.is_empty()).then(|| {
        format!(
            "before every trial the host must be back in band ({}), waited for at most {}, {otherwise}",
            limits.join(", "),
            show_duration(band.deadline)
        )
    })
}
