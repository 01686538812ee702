//! Values out of texts and numbers: names, choices, ranges, lists of CPUs.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use protocol::ids::Name;
use protocol::spec::CpuSet;

use crate::config::duration::show;
use crate::config::problem::{Fault, did_you_mean};

/// A name.
#[expect(
    clippy::ptr_arg,
    reason = "fields hold a String, and a check takes what a field holds"
)]
pub(super) fn name(text: &String) -> Result<Name, Fault> {
    text.parse().map_err(|_| {
        Fault::new(
            "invalid name",
            "use 1 to 63 of a-z, 0-9, - and _, beginning with a letter or a digit",
        )
    })
}

/// One of a few words.
pub(super) fn choice<T: Clone>(words: &[(&str, T)]) -> impl Fn(&String) -> Result<T, Fault> {
    move |text| {
        let found = words.iter().find(|(word, _)| word == text);
        found.map(|(_, value)| value.clone()).ok_or_else(|| {
            let all: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            let remedy = match did_you_mean(text, words.iter().map(|(word, _)| *word)) {
                Some(word) => format!("did you mean {word:?}?"),
                None => format!("write {}", all.join(" or ")),
            };
            Fault::new("unknown value", remedy)
        })
    }
}

/// A whole number in a range; `what` names it: "a port".
pub(super) fn whole<T: TryFrom<i64> + Display>(
    what: &'static str,
    range: RangeInclusive<i64>,
    example: T,
) -> impl Fn(&i64) -> Result<T, Fault> {
    move |&number| {
        let in_range = range.contains(&number).then(|| T::try_from(number).ok()).flatten();
        in_range.ok_or_else(|| {
            let what = format!("{what} is {} to {}", range.start(), range.end());
            Fault::new(what, format!("write e.g. {example}"))
        })
    }
}

/// A duration in a range; `what` names it: "a time-out".
pub(super) fn within(
    what: &'static str,
    range: RangeInclusive<Duration>,
    example: &'static str,
) -> impl Fn(&Duration) -> Result<Duration, Fault> {
    move |&duration| {
        if range.contains(&duration) {
            return Ok(duration);
        }
        let what = format!("{what} is {} to {}", show(*range.start()), show(*range.end()));
        Err(Fault::new(what, format!("write e.g. \"{example}\"")))
    }
}

/// A list of CPUs.
#[expect(
    clippy::ptr_arg,
    reason = "fields hold a String, and a check takes what a field holds"
)]
pub(super) fn cpus(text: &String) -> Result<CpuSet, Fault> {
    /// Longer lists are no lists of CPUs; the limit bounds the work.
    const MAX: usize = 1000;
    let fault = || {
        Fault::new(
            "invalid list of CPUs",
            "write it as the kernel does, e.g. \"0-1,3\" (numbers below 4096)",
        )
    };
    if text.len() > MAX {
        return Err(fault());
    }
    text.parse().map_err(|_| fault())
}

/// A path; whether anything is there is not looked at.
pub(super) fn path(text: &String) -> Result<PathBuf, Fault> {
    if text.is_empty() || text.contains('\0') {
        return Err(Fault::new(
            "invalid path",
            "write the path of a file or folder, or leave the key out",
        ));
    }
    Ok(PathBuf::from(text))
}

/// A value that needs no check.
#[expect(clippy::unnecessary_wraps, reason = "stands where checks stand")]
pub(super) fn any<T: Clone>(value: &T) -> Result<T, Fault> {
    Ok(value.clone())
}
