//! `[host]` and `[band]`.

use std::time::Duration;

use super::at::At;
use super::value;
use crate::config::field::Field;
use crate::config::host::{Band, HostNeeds, Need, Otherwise};
use crate::config::problem::{Fault, Problem, did_you_mean};
use crate::config::raw::{RawBand, RawHost};

/// The most MiB that a key takes.
const MAX_MIB: i64 = 1 << 30;

/// Checks `[host]`; `None` has left a problem.
pub(super) fn needs(raw: &RawHost, problems: &mut Vec<Problem>) -> Option<HostNeeds> {
    let mut at = At::new(&raw.section, problems);
    let modes = ["always", "madvise", "never"].map(|word| (word, word.to_owned()));
    let found = [
        need(&mut at, &raw.governor, word, Need::Governor),
        need(&mut at, &raw.turbo, value::any, Need::Turbo),
        need(&mut at, &raw.smt, value::any, Need::Smt),
        need(&mut at, &raw.c_states, list, Need::CStates),
        need(&mut at, &raw.aslr, value::whole("ASLR", 0..=2, 2), Need::Aslr),
        need(&mut at, &raw.thp, value::choice(&modes), Need::Thp),
        need(&mut at, &raw.ksm, value::any, Need::Ksm),
        need(&mut at, &raw.swap, value::any, Need::Swap),
        need(&mut at, &raw.clocksource, word, Need::Clocksource),
        need(
            &mut at,
            &raw.cgroup,
            value::whole("a cgroup version", 1..=2, 2),
            Need::Cgroup,
        ),
        need(&mut at, &raw.kernel, word, Need::Kernel),
        need(&mut at, &raw.microcode, word, Need::Microcode),
        need(&mut at, &raw.bare_metal, value::any, Need::BareMetal),
        need(&mut at, &raw.isolated, value::cpus, Need::Isolated),
        need(&mut at, &raw.max_load, load, Need::MaxLoad),
        need(&mut at, &raw.min_free_mib, mib, Need::MinFreeMib),
        need(&mut at, &raw.max_temperature, degrees, Need::MaxTemperature),
        need(&mut at, &raw.disjoint, value::any, Need::Disjoint),
    ];
    let needs: Option<Vec<Option<Need>>> = found.into_iter().collect();
    let needs: Option<Vec<Need>> = needs.map(|needs| needs.into_iter().flatten().collect());
    let waived = at.optional(&raw.waive, |words| waived(words, needs.as_deref()));
    Some(HostNeeds {
        needs: needs?,
        waived: waived?.unwrap_or_default(),
    })
}

fn need<T, U>(
    at: &mut At<'_>,
    field: &Field<T>,
    parse: impl FnOnce(&T) -> Result<U, Fault>,
    make: fn(U) -> Need,
) -> Option<Option<Need>> {
    Some(at.optional(field, parse)?.map(make))
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
                None => "waive keys that stand in this table, or leave it out".to_owned(),
            };
            Err(Fault::new(format!("{word:?} is not required here"), remedy))
        }
    }
}

/// Checks `[band]`; `None` has left a problem.
pub(super) fn band(raw: &RawBand, problems: &mut Vec<Problem>) -> Option<Band> {
    let mut at = At::new(&raw.section, problems);
    let choices = [("suspect", Otherwise::Suspect), ("stop", Otherwise::Stop)];
    let max_load = at.optional(&raw.max_load, load);
    let max_busy = at.optional(&raw.max_busy, percent);
    let max_temperature = at.optional(&raw.max_temperature, degrees);
    let max_warming = at.optional(&raw.max_warming, degrees);
    let max_dirty_mib = at.optional(&raw.max_dirty_mib, mib);
    let min_free_mib = at.optional(&raw.min_free_mib, mib);
    let deadline = at.or(
        &raw.deadline,
        Duration::from_secs(300),
        value::within("a deadline", Duration::ZERO..=Duration::from_secs(24 * 3600), "5m"),
    );
    let otherwise = at.or(&raw.otherwise, Otherwise::Suspect, value::choice(&choices));
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
        return Err(Fault::new("this says nothing", "write a word, or leave the key out"));
    }
    Ok(text.trim().to_owned())
}

/// Words with commas between.
#[expect(
    clippy::ptr_arg,
    reason = "fields hold a String, and a check takes what a field holds"
)]
fn list(text: &String) -> Result<Vec<String>, Fault> {
    let words: Vec<String> = text.split(',').map(|word| word.trim().to_owned()).collect();
    if words.iter().any(String::is_empty) {
        let remedy = "write names with commas between, e.g. c_states = \"POLL,C1\"";
        return Err(Fault::new("this is no list of idle states", remedy));
    }
    Ok(words)
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
    value::whole("a size in MiB", 0..=MAX_MIB, 512)(mib)
}
