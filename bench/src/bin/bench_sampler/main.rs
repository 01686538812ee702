//! `just bench-sampler`: the accuracy and the cost of the sampler, compared with pidstat, psutil and `docker stats` on the same processes.
//!
//! Needs Linux; as root it also uses cgroups and Docker. What is not installed is reported and skipped. Takes about nine minutes.

mod burn;
mod child;
mod cost;
mod disturb;
mod memory;
mod others;
mod sum;
mod table;

use std::process::ExitCode;

use table::Table;

/// A part of the bench: measures, and adds its rows to the table.
type Part = fn(&mut Table) -> anyhow::Result<()>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, rest @ ..] = &arguments[..]
        && child::run(first, rest)
    {
        return ExitCode::SUCCESS;
    }
    let wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|one| one == name);
    if let Err(error) = runner::limits::raise_open_files() {
        eprintln!("{error}");
    }
    let mut table = Table::begin();
    let parts: [(&str, Part); 5] = [
        ("cpu", burn::run),
        ("memory", memory::run),
        ("cost", cost::run),
        ("sum", sum::run),
        ("disturbance", disturb::run),
    ];
    for (name, part) in parts.into_iter().filter(|(name, _)| wanted(name)) {
        if let Err(error) = part(&mut table) {
            table.failed(name, &error);
        }
    }
    table.end()
}
