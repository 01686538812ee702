//! Reads descriptions of services: `services/<name>/service.toml` of a target host, and the same tables in an experiment file.
//!
//! [`RawDescription`] is what a file has, [`RawDescription::check`] turns it into a [`ServiceDescription`] or reports every problem.

mod check;
mod raw;
mod ready;
mod seed;
#[cfg(test)]
mod tests;

pub use check::parameters;
pub use raw::{RawContainer, RawDescription, RawFile, RawGuest, RawKeys, RawNative, RawReady, RawSeed, RawTask};

use crate::spec::{Parameter, ServiceDescription};
use crate::toml::{Document, Fault, Problem, Table, TableCheck};

/// Reads a description file; `file` is what problems call it.
///
/// # Errors
/// Every problem of it.
pub fn parse(file: &str, text: &str) -> Result<ServiceDescription, Vec<Problem>> {
    let document = Document::parse(file, text)?;
    let mut problems = Vec::new();
    let mut root = Table::root(file, [&document], RawDescription::TABLES);
    let raw = RawDescription::read(&mut root, &mut problems);
    root.end(&mut problems);
    let description = raw.check(&mut problems);
    let mut addresses = description.iter().flat_map(|description| &description.parameters);
    if let Some((name, value)) = addresses.find(|(_, value)| matches!(value, Parameter::Service(_))) {
        let what = format!("{name} = \"{value}\" is a service of an application, which only an experiment knows");
        TableCheck::new(&raw.keys.section, &mut problems).error(
            &raw.keys.parameters,
            Fault::new(what, "write an address such as \"127.0.0.1:6379\" as the default"),
        );
    }
    problems.sort_by_key(|problem| problem.line);
    description.filter(|_| problems.is_empty()).ok_or(problems)
}
