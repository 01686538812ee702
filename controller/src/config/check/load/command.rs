//! `kind = "command"`: a load program of the user's, described in the load itself or by a preset.

mod figures;
mod parameters;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use loader::external::resolve::{resolve, sha256};
use protocol::load::command::{CommandLoad, DURATION, OTHERS, TIMEOUT, WARM_UP, WorkingFile};
use protocol::load::{Timing, Transport, template};
use protocol::toml::{Fault, Field, Section, TableCheck, did_you_mean, value};

use super::{HOUR, cpus, window};
use crate::config::presets::{self, Unreadable};
use crate::config::raw::{RawCommand, RawFile, RawLoad, RawProgram};

/// How long a program may take in addition to what it is told.
const MARGIN: Duration = Duration::from_secs(30);

/// How long a program may take that is told no duration, unless said otherwise.
const LONGEST: Duration = Duration::from_secs(600);

/// The largest file that is copied into the working directory, bytes.
const MAX_FILE: u64 = 64 << 20;

/// Keys of `[[load]]` that belong to it besides the common ones.
pub(super) const KEYS: &[&str] = &[
    "duration",
    "preset",
    "parameters",
    "program",
    "arguments",
    "environment",
    "version",
    "exit_code",
    "jtl",
    "needs",
    "install",
    "protocol",
    "time_limit",
];

/// Checks a load of kind `command`; `None`: a problem is reported.
pub(super) fn check(raw: &RawLoad, table: &mut TableCheck<'_>) -> Option<CommandLoad> {
    let mut load = match raw.preset.preset.value() {
        Some(preset) => of_preset(raw, preset, table)?,
        None => {
            let (what, remedy) = (
                "only a preset declares parameters",
                "write the values into the arguments",
            );
            table.forbid(&raw.preset.parameters, what, remedy);
            let section = &raw.keys.section;
            program(
                &raw.command,
                (section, &raw.command.program.arguments),
                BTreeMap::new(),
                table,
            )?
        }
    };
    times(raw, &mut load, table)?;
    load.cpus = cpus(&raw.keys, table)?;
    if load.figures.is_empty() && load.jtl.is_none() {
        let what = "nothing of the program's output becomes a figure";
        table.warn(
            &raw.keys.kind,
            Fault::new(what, "add [[load.figure]] or jtl, or ignore this"),
        );
    }
    Some(load)
}

/// The program of a preset, with this load's own values.
fn of_preset(raw: &RawLoad, name: &str, table: &mut TableCheck<'_>) -> Option<CommandLoad> {
    let own = &raw.command;
    let what = "the preset decides this";
    let remedy = "remove it, or name a preset file of your own: preset = \"./mine.toml\"";
    let allowed = ["program", "environment", "time_limit"];
    for field in own.program.given().iter().filter(|field| !allowed.contains(&field.key)) {
        table.error(field, Fault::new(what, remedy));
    }
    let tables = own
        .figures
        .iter()
        .map(|figure| &figure.section)
        .chain(own.files.iter().map(|file| &file.section));
    for section in tables {
        table.elsewhere(section).table_error(Fault::new(what, remedy));
    }
    let (preset, problems) = match presets::read(name) {
        Ok(read) => read,
        Err(Unreadable::Unknown(fault)) => {
            table.error(&raw.preset.preset, fault);
            return None;
        }
        Err(Unreadable::File(problems)) => {
            table.add(problems);
            return None;
        }
    };
    let is_faulty = !problems.is_empty();
    table.add(problems);
    let declared = parameters::declared(&preset, table)?;
    let parameters = parameters::values(&declared, &raw.preset.parameters, table);
    let section = preset.section();
    let arguments = &preset.command.program.arguments;
    let load = program(
        &preset.command,
        (section, arguments),
        declared.defaults(),
        &mut table.elsewhere(section),
    );
    let environment = environment(&own.program, table);
    let mut load = load.filter(|_| !is_faulty)?;
    load.preset = Some(name.to_owned());
    load.parameters = parameters?;
    load.environment.extend(environment?);
    if let Some(program) = own.program.program.value() {
        load.program.clone_from(program);
    }
    Some(load)
}

/// A program, its figures and its files; `parameters` are its placeholders besides those that every program has.
fn program(
    raw: &RawCommand,
    (section, arguments): (&Section, &Field<Vec<String>>),
    parameters: BTreeMap<String, String>,
    table: &mut TableCheck<'_>,
) -> Option<CommandLoad> {
    let keys = &raw.program;
    let name = table.required(&keys.program, "program = \"wrk\"", |text| line("a program", text));
    let items = table.required(arguments, "arguments = [\"http://{address}/\"]", |items| texts(items));
    let environment = environment(keys, table);
    let version = table.or(&keys.version, Vec::new(), |items| texts(items));
    let exit_code = table.or(&keys.exit_code, 0, value::integer("an exit code", 0..=255, 0));
    let jtl = table.optional(&keys.jtl, file_name);
    let needs = table.or(&keys.needs, Vec::new(), |items| texts(items));
    let install = table.or(&keys.install, String::new(), |text| line("a remedy", text));
    let protocols = Transport::OF_SERVICES.map(|protocol| (protocol.as_str(), Some(protocol)));
    let words: Vec<_> = protocols.into_iter().chain([("any", None)]).collect();
    let transport = table.or(&keys.protocol, None, value::choice(&words));
    let limit = table.or(&keys.time_limit, Duration::ZERO, limits());
    let files = files(&raw.files, table);
    let figures = figures::check(&raw.figures, table);
    let load = CommandLoad {
        preset: None,
        program: name?,
        install: install?,
        needs: needs?,
        arguments: items?,
        parameters,
        environment: environment?,
        files: files?,
        version: version?,
        exit_code: exit_code?,
        time_limit: limit?,
        timing: Timing {
            warm_up: Duration::ZERO,
            duration: Duration::ZERO,
            timeout: Duration::ZERO,
        },
        transport: transport?,
        figures: figures?,
        jtl: jtl?,
        cpus: Vec::new(),
    };
    placeholders(&load, section, arguments, table)?;
    Some(load)
}

/// Reports placeholders that do not exist.
fn placeholders(
    load: &CommandLoad,
    section: &Section,
    arguments: &Field<Vec<String>>,
    table: &mut TableCheck<'_>,
) -> Option<()> {
    let built_in = [&WARM_UP[..], &DURATION, &TIMEOUT, &OTHERS].concat();
    let known = || {
        built_in
            .iter()
            .copied()
            .chain(load.parameters.keys().map(String::as_str))
    };
    let mut found = load.templates().flat_map(template::placeholders);
    let Some(unknown) = found.find(|name| known().all(|known| known != *name)) else {
        return Some(());
    };
    let meant = match did_you_mean(unknown, known()) {
        Some(name) => format!("did you mean {{{name}}}?"),
        None => format!(
            "known here: {}",
            known().map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join(" ")
        ),
    };
    let fault = Fault::new(
        format!("there is no placeholder {{{unknown}}}"),
        format!("{meant} For the text itself, write {{{{{unknown}}}}}"),
    );
    table.elsewhere(section).error(arguments, fault);
    None
}

/// Durations, as far as the program is told them.
fn times(raw: &RawLoad, load: &mut CommandLoad, table: &mut TableCheck<'_>) -> Option<()> {
    let keys = &raw.keys;
    let tells = |placeholders: [&str; 3], load: &CommandLoad| placeholders.iter().any(|name| load.mentions(name));
    let (tells_duration, tells_warm_up) = (tells(DURATION, load), tells(WARM_UP, load));
    let duration = if tells_duration {
        table.required(&keys.duration, "duration = \"10s\"", window())?
    } else {
        let what = "the program is not told {duration}: it ends by itself";
        table.forbid(&keys.duration, what, "remove it, or write time_limit = \"10m\"");
        Duration::ZERO
    };
    let mut warm_up = Duration::ZERO;
    if tells_duration || tells_warm_up {
        let range = value::within("a warm-up", Duration::ZERO..=HOUR, "2s");
        warm_up = table.or(&keys.warm_up, Duration::from_secs(2), range)?;
    } else {
        let what = "the program is told neither {duration} nor {warm_up}: it cannot be run for a warm-up";
        table.forbid(&keys.warm_up, what, "remove it");
    }
    let mut timeout = Duration::ZERO;
    if tells(TIMEOUT, load) {
        let range = value::within("a time-out", Duration::from_millis(1)..=HOUR, "2s");
        timeout = table.or(&keys.timeout, Duration::from_secs(2), range)?;
    } else {
        table.forbid(&keys.timeout, "the program is not told {timeout}", "remove it");
    }
    let whole = [
        (
            &keys.warm_up,
            warm_up,
            load.mentions(WARM_UP[1]) || (!tells_warm_up && load.mentions(DURATION[1])),
        ),
        (&keys.duration, duration, load.mentions(DURATION[1])),
        (&keys.timeout, timeout, load.mentions(TIMEOUT[1])),
    ];
    for (field, time, _) in whole
        .iter()
        .filter(|(_, time, is_told)| *is_told && time.subsec_nanos() > 0)
    {
        let rounded = time.as_secs() + 1;
        let what = "the program takes whole seconds only";
        table.error(*field, Fault::new(what, format!("write e.g. \"{rounded}s\"")));
    }
    load.timing = Timing {
        warm_up,
        duration,
        timeout,
    };
    load.time_limit = time_limit(&raw.command.program, load, table)?;
    Some(())
}

/// The range of time limits.
fn limits() -> impl Fn(&Duration) -> Result<Duration, Fault> {
    value::within("a time limit", Duration::from_millis(100)..=25 * HOUR, "2m")
}

/// The load's own limit, or that of its preset, or one that follows from what the program is told.
fn time_limit(keys: &RawProgram, load: &CommandLoad, table: &mut TableCheck<'_>) -> Option<Duration> {
    let told = if load.warms_up_separately() {
        load.timing.duration.max(load.timing.warm_up)
    } else {
        load.timing.warm_up + load.timing.duration
    };
    let default = match load.time_limit {
        limit if !limit.is_zero() => limit,
        _ if load.timing.duration.is_zero() => LONGEST,
        _ => told + MARGIN,
    };
    let limit = table.or(&keys.time_limit, default, limits())?;
    if limit <= told {
        let what = "the program is told to run longer";
        table.error(&keys.time_limit, Fault::new(what, "raise it, or omit it"));
        return None;
    }
    Some(limit)
}

fn environment(keys: &RawProgram, table: &mut TableCheck<'_>) -> Option<BTreeMap<String, String>> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    let given = table.optional(&keys.environment, |pairs| {
        for (name, text) in pairs {
            if !is_name(name) || text.contains('\0') {
                let what = format!("{name:?} is not a valid environment variable");
                return Err(Fault::new(what, "write e.g. { MODE = \"fast\" }"));
            }
        }
        Ok(pairs.iter().cloned().collect())
    })?;
    Some(given.unwrap_or_default())
}

/// The files of the working directory; `None`: a problem is reported.
fn files(raw: &[RawFile], table: &mut TableCheck<'_>) -> Option<Vec<WorkingFile>> {
    let mut files: Vec<WorkingFile> = Vec::new();
    let mut all = Some(());
    for raw in raw {
        let mut table = table.elsewhere(&raw.section);
        match file(raw, &mut table) {
            Some(file) if files.iter().all(|known| known.name != file.name) => files.push(file),
            Some(_) => {
                table.error(
                    &raw.name,
                    Fault::new("this name is already taken", "give each file its own"),
                );
                all = None;
            }
            None => all = None,
        }
    }
    all.map(|()| files)
}

fn file(raw: &RawFile, table: &mut TableCheck<'_>) -> Option<WorkingFile> {
    let name = table.required(&raw.name, "name = \"script.lua\"", file_name);
    if raw.text.is_absent() == raw.path.is_absent() {
        let fault = Fault::new(
            "a file is either a text or a copy",
            "write text = \"...\" or path = \"...\"",
        );
        table.table_error(fault);
        return None;
    }
    let text = table.optional(&raw.text, value::any);
    let copied = table.optional(&raw.path, |text| {
        let path = value::path(text)?;
        let path = std::path::absolute(&path).unwrap_or(path);
        Ok((checked_sum(&path)?, path))
    });
    let (sha256, path) = copied?.unzip();
    Some(WorkingFile {
        name: name?,
        text: text?,
        path,
        sha256,
    })
}

/// The SHA-256 of a file that can be copied.
fn checked_sum(path: &Path) -> Result<String, Fault> {
    let unreadable = |error: std::io::Error| {
        Fault::new(
            format!("this file cannot be read: {error}"),
            "write the path of a file; a relative one begins where the controller is started",
        )
    };
    let metadata = path.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Fault::new("this is not a file", "write the path of a file"));
    }
    if metadata.len() > MAX_FILE {
        let what = format!(
            "this file has {} bytes; at most {MAX_FILE} are copied for each trial",
            metadata.len()
        );
        return Err(Fault::new(
            what,
            "name it by its absolute path in the arguments instead",
        ));
    }
    sha256(path).map_err(unreadable)
}

/// Programs that cannot be run on this machine, for a load that is otherwise valid.
pub(super) fn unusable(raw: &RawLoad, load: &CommandLoad, table: &mut TableCheck<'_>) {
    let field = match (&raw.command.program.program, &raw.preset.preset) {
        (program, _) if !program.is_absent() => program,
        (_, preset) => preset,
    };
    for program in std::iter::once(&load.program).chain(&load.needs) {
        if let Err(unusable) = resolve(program) {
            table.error(field, Fault::new(unusable.to_string(), unusable.remedy(&load.install)));
        }
    }
}

/// The name of a file without a folder.
#[expect(
    clippy::ptr_arg,
    reason = "fields hold a String, and a check takes what a field holds"
)]
fn file_name(text: &String) -> Result<String, Fault> {
    let is_plain =
        (1..=100).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if is_plain && !text.starts_with('.') {
        return Ok(text.clone());
    }
    let what = "a file of the working directory has a name of letters, digits, ., _ and -";
    Err(Fault::new(what, "write e.g. \"script.lua\", without a folder"))
}

/// A text of one line.
fn line(what: &str, text: &str) -> Result<String, Fault> {
    if (1..=4096).contains(&text.len()) && !text.contains(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(Fault::new(
        format!("{what} is a text of one line"),
        "write it without line breaks",
    ))
}

/// Arguments, which may hold anything but NUL.
fn texts(items: &[String]) -> Result<Vec<String>, Fault> {
    if items.iter().any(|item| item.contains('\0')) {
        return Err(Fault::new("an argument cannot hold a NUL character", "remove it"));
    }
    Ok(items.to_vec())
}
