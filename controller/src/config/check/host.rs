//! `[host]` and `[band]`.

use std::time::Duration;

use protocol::toml::{Fault, Field, Problem, TableCheck, did_you_mean, value};

use crate::config::raw::{RawBand, RawHost};
use crate::config::{Band, HostNeeds, Need, Otherwise};

/// The most MiB that a key takes.
const MAX_MIB: i64 = 1 << 30;

/// Checks `[host]`; `None`: a problem is reported.
pub(super) fn needs(raw: &RawHost, problems: &mut Vec<Problem>) -> Option<HostNeeds> {
    let mut table = TableCheck::new(&raw.section, problems);
    let modes = ["always", "madvise", "never"].map(|word| (word, word.to_owned()));
    let found = [
        need(&mut table, &raw.governor, word, Need::Governor),
        need(&mut table, &raw.turbo, value::any, Need::Turbo),
        need(&mut table, &raw.smt, value::any, Need::Smt),
        need(&mut table, &raw.c_states, |words| idle_states(words), Need::CStates),
        need(&mut table, &raw.aslr, value::integer("ASLR", 0..=2, 2), Need::Aslr),
        need(&mut table, &raw.thp, value::choice(&modes), Need::Thp),
        need(&mut table, &raw.ksm, value::any, Need::Ksm),
        need(&mut table, &raw.swap, value::any, Need::Swap),
        need(&mut table, &raw.clocksource, word, Need::Clocksource),
        need(
            &mut table,
            &raw.cgroup,
            value::integer("a cgroup version", 1..=2, 2),
            Need::Cgroup,
        ),
        need(&mut table, &raw.kernel, word, Need::Kernel),
        need(&mut table, &raw.microcode, word, Need::Microcode),
        need(&mut table, &raw.bare_metal, value::any, Need::BareMetal),
        need(&mut table, &raw.isolated, value::any, Need::Isolated),
        need(&mut table, &raw.max_load, load, Need::MaxLoad),
        need(&mut table, &raw.min_free_mib, mib, Need::MinFreeMib),
        need(&mut table, &raw.max_temperature, degrees, Need::MaxTemperature),
        need(&mut table, &raw.disjoint, value::any, Need::Disjoint),
    ];
    let needs: Option<Vec<Option<Need>>> = found.into_iter().collect();
    let needs: Option<Vec<Need>> = needs.map(|needs| needs.into_iter().flatten().collect());
    let waived = table.optional(&raw.waive, |words| waived(words, needs.as_deref()));
    Some(HostNeeds {
        needs: needs?,
        waived: waived?.unwrap_or_default(),
    })
}

fn need<T, U>(
    table: &mut TableCheck<'_>,
    field: &Field<T>,
    parse: impl FnOnce(&T) -> Result<U, Fault>,
    make: fn(U) -> Need,
) -> Option<Option<Need>> {
    Some(table.optional(field, parse)?.map(make))
}

/// Only what is required can be waived: a waiver that is left over from an older file would hide what is required later.
/// Where a requirement is wrong itself, that is the problem to tell.
fn waived(words: &[String], needs: Option<&[Need]>) -> Result<Vec<String>, Fault> {
    let Some(needs) = needs else { return Ok(words.to_vec()) };
    let keys: Vec<&str> = needs.iter().map(Need::key).collect();
    match words.iter().find(|word| !keys.contains(&word.as_str())) {
        None => Ok(words.to_vec()),
        Some(word) => {
            let remedy = match did_you_mean(word, keys.iter().copied()) {
                Some(key) => format!("did you mean {key:?}?"),
                None => "waive keys of this table, or remove it".to_owned(),
            };
            Err(Fault::new(format!("{word:?} is not required here"), remedy))
        }
    }
}

/// Checks `[band]`; `None`: a problem is reported.
pub(super) fn band(raw: &RawBand, problems: &mut Vec<Problem>) -> Option<Band> {
    let mut table = TableCheck::new(&raw.section, problems);
    let choices = [("suspect", Otherwise::Suspect), ("stop", Otherwise::Stop)];
    let max_load = table.optional(&raw.max_load, load);
    let max_busy = table.optional(&raw.max_busy, percent);
    let max_temperature = table.optional(&raw.max_temperature, degrees);
    let max_warming = table.optional(&raw.max_warming, degrees);
    let max_dirty_mib = table.optional(&raw.max_dirty_mib, mib);
    let min_free_mib = table.optional(&raw.min_free_mib, mib);
    let deadline = table.or(
        &raw.deadline,
        Duration::from_secs(300),
        value::within("a deadline", Duration::ZERO..=Duration::from_secs(24 * 3600), "5m"),
    );
    let otherwise = table.or(&raw.otherwise, Otherwise::Suspect, value::choice(&choices));
    Some(Band {
        max_load: max_load?,
        max_busy: max_busy?,
        max_temperature: max_temperature?,
        max_warming: max_warming?,
        max_dirty_mib: max_dirty_mib?,
        min_free_mib: min_free_mib?,
        deadline: deadline?,
        otherwise: otherwise?,
    })
}

#[expect(
    clippy::ptr_arg,
    reason = "fields hold a String, and a check takes what a field holds"
)]
fn word(text: &String) -> Result<String, Fault> {
    if text.trim().is_empty() {
        return Err(Fault::new("empty string", "write a word, or omit the key"));
    }
    Ok(text.trim().to_owned())
}

fn idle_states(words: &[String]) -> Result<Vec<String>, Fault> {
    if words.iter().any(String::is_empty) {
        let remedy = "write names with commas between, e.g. c_states = \"POLL,C1\"";
        return Err(Fault::new("invalid list of idle states", remedy));
    }
    Ok(words.to_vec())
}

fn load(&load: &f64) -> Result<f64, Fault> {
    bounded(load, 1e6, "a load average", "0.5")
}

fn percent(&percent: &f64) -> Result<f64, Fault> {
    bounded(percent, 100.0, "a share of the CPUs in percent", "5")
}

fn degrees(&degrees: &f64) -> Result<f64, Fault> {
    bounded(degrees, 200.0, "a temperature in degrees", "60")
}

fn bounded(value: f64, most: f64, what: &str, example: &str) -> Result<f64, Fault> {
    if (0.0..=most).contains(&value) {
        return Ok(value);
    }
    Err(Fault::new(
        format!("{what} is 0 to {most}"),
        format!("write e.g. {example}"),
    ))
}

fn mib(mib: &i64) -> Result<u64, Fault> {
    value::integer("a size in MiB", 0..=MAX_MIB, 512)(mib)
}
