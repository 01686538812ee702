//! The engine `command`: a load program of the user's, whose output becomes figures.
//!
//! Each run gets a working directory of its own, which is removed afterwards. The window is the run itself, from its start (and the warm-up that it was
//! told) to its end; when the program really sent its first and last request only the program knows.

use std::fs;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command as Process;
use std::time::Duration;

use protocol::load::command::{DURATION, TIMEOUT, WARM_UP};
use protocol::load::{CommandLoad, CountOf, FigureSpec, OutputPart, template};
use tempfile::TempDir;

use super::figures::{self, Figure};
use super::jtl::Samples;
use super::outcome::External;
use super::program::{Captured, End, Finished, execute, failed, last_lines, not_started, pinned};
use super::resolve::{resolve, sha256};
use crate::Engine;
use crate::clock::nanos;
use crate::control::Control;
use crate::error::{ErrorKind, LoadError};
use crate::outcome::Outcome;

/// What no program reports to us, and what those with a JTL do report.
const ABSENT: &[&str] = &["single requests", "its own lag", "Little's law", "bodies"];
const ABSENT_WITH_JTL: &[&str] = &["times below a millisecond", "its own lag", "bodies"];

/// The largest file that figures are looked for in, bytes.
const MAX_FILE: u64 = 256 << 20;

/// How much of each output stream and file is kept with the results, bytes.
const MAX_KEPT: usize = 256 << 10;

/// The time limit of asking a program for its version.
const VERSION_LIMIT: Duration = Duration::from_secs(10);

/// The engine `command`.
#[derive(Debug, Clone)]
pub struct Command {
    load: CommandLoad,
    address: SocketAddr,
    seed: u64,
}

impl Command {
    /// The engine of a load on the service at this address.
    #[must_use]
    pub fn new(load: CommandLoad, address: SocketAddr, seed: u64) -> Self {
        Self { load, address, seed }
    }

    /// The value of a placeholder, in a run of this duration.
    fn value(&self, placeholder: &str, duration: Duration) -> Option<String> {
        let timing = &self.load.timing;
        let times = [
            (WARM_UP, timing.warm_up),
            (DURATION, duration),
            (TIMEOUT, timing.timeout),
        ];
        for ([seconds, whole, ms], time) in times {
            match placeholder {
                _ if placeholder == seconds => return Some(time.as_secs_f64().to_string()),
                _ if placeholder == whole => return Some(time.as_secs().to_string()),
                _ if placeholder == ms => return Some(time.as_millis().to_string()),
                _ => {}
            }
        }
        match placeholder {
            "host" => Some(self.address.ip().to_string()),
            "port" => Some(self.address.port().to_string()),
            "address" => Some(self.address.to_string()),
            "seed" => Some(self.seed.to_string()),
            parameter => self.load.parameters.get(parameter).cloned(),
        }
    }

    fn fill(&self, text: &str, duration: Duration) -> String {
        template::fill(text, |placeholder| self.value(placeholder, duration))
    }

    /// Runs the program once.
    fn run_once(&self, path: &Path, duration: Duration, control: &Control) -> Result<Run, LoadError> {
        let title = self.load.title();
        let arguments: Vec<String> = self
            .load
            .arguments
            .iter()
            .map(|text| self.fill(text, duration))
            .collect();
        let folder = self
            .working_folder(duration, control)
            .map_err(|why| failed(title, why))?;
        let mut command = Process::new(path);
        command.args(&arguments).current_dir(folder.path()).env("LC_ALL", "C");
        let environment = self.load.environment.iter();
        command.envs(environment.map(|(name, text)| (name, self.fill(text, duration))));
        let cpus: Vec<usize> = self.load.cpus.iter().map(|&cpu| cpu as usize).collect();
        let finished = execute(pinned(command, &cpus), Some(self.load.time_limit), control)
            .map_err(|error| not_started(title, &self.load.install, &error))?;
        Ok(Run {
            folder,
            arguments,
            finished,
        })
    }

    /// A new working directory with its files.
    fn working_folder(&self, duration: Duration, control: &Control) -> Result<TempDir, String> {
        let folder = tempfile::Builder::new()
            .prefix("jung-load-")
            .tempdir_in(control.scratch());
        let folder = folder.map_err(|error| format!("{}: {error}", control.scratch().display()))?;
        for file in &self.load.files {
            let target = folder.path().join(&file.name);
            let written = match (&file.text, &file.path) {
                (Some(text), _) => fs::write(&target, self.fill(text, duration)),
                (None, Some(path)) => fs::copy(path, &target).map(drop),
                (None, None) => Ok(()),
            };
            written.map_err(|error| format!("file {}: {error}", file.name))?;
            if file.sha256.is_some() && sha256(&target).ok() != file.sha256 {
                return Err(format!(
                    "file {} was altered since the experiment was checked",
                    file.name
                ));
            }
        }
        Ok(folder)
    }

    /// Why a run failed; `None`: it did not.
    fn failure(&self, run: &Finished) -> Option<String> {
        match run.end {
            End::Cancelled => None,
            End::TimeLimit => Some(format!(
                "it was killed at its time limit of {:?}; raise `time_limit` if that is too short: {}",
                self.load.time_limit,
                last_lines(&run.stderr.text())
            )),
            End::Exited(status) if status.code() == Some(i32::from(self.load.exit_code)) => None,
            End::Exited(status) => {
                let (stdout, stderr) = (run.stdout.text(), run.stderr.text());
                let said = if stderr.trim().is_empty() { stdout } else { stderr };
                Some(format!(
                    "{status}, expected exit code {}: {}",
                    self.load.exit_code,
                    last_lines(&said)
                ))
            }
        }
    }

    /// Every figure with its value, and what is wrong.
    fn figures(&self, run: &Run) -> (Vec<Figure>, Vec<String>) {
        let mut problems = Vec::new();
        let mut found = Vec::new();
        for spec in &self.load.figures {
            let value = run.output(&spec.from).and_then(|text| figures::extract(spec, &text));
            let value = value.unwrap_or_else(|why| {
                problems.push(why);
                None
            });
            found.push(Figure {
                spec: spec.clone(),
                value,
            });
        }
        (found, problems)
    }

    /// The outcome of a run that was not the warm-up, or of a warm-up that failed.
    fn outcome(&self, path: &Path, run: &Run, control: &Control) -> Outcome {
        let mut failure = self.failure(&run.finished);
        let (mut figures, mut jtl) = (Vec::new(), None);
        if failure.is_none() && run.finished.end != End::Cancelled {
            let (found, mut problems) = self.figures(run);
            figures = found;
            if let Some(name) = &self.load.jtl {
                match self.requests(&run.folder.path().join(name)) {
                    Ok(samples) => jtl = Some(samples),
                    Err(why) => problems.push(format!("{name}: {why}")),
                }
            }
            if Counted::of(&figures).is_some_and(|counts| counts.requests == 0) {
                problems.push("it counted no request".to_owned());
            }
            failure = (!problems.is_empty()).then(|| problems.join("; "));
        }
        let counts = Counted::of(&figures);
        let external = External {
            program: self.load.title().to_owned(),
            path: Some(path.display().to_string()),
            sha256: sha256(path).ok(),
            version: self.version(path, control),
            arguments: run.arguments.clone(),
            absent: if jtl.is_some() { ABSENT_WITH_JTL } else { ABSENT },
            requests: jtl.is_some(),
            counts: jtl.is_some() || counts.is_some(),
            figures,
            outputs: self.outputs(run),
            failure,
            ..External::default()
        };
        self.of_run(run, (jtl, counts), external)
    }

    fn of_run(&self, run: &Run, (jtl, counts): (Option<Samples>, Option<Counted>), external: External) -> Outcome {
        let timing = &self.load.timing;
        let skipped = if self.load.warms_up_separately() {
            Duration::ZERO
        } else {
            timing.warm_up
        };
        let url = self.address.to_string();
        if let Some(samples) = jtl {
            let end = if timing.duration.is_zero() {
                u64::MAX
            } else {
                nanos(skipped + timing.duration)
            };
            return Outcome::of_requests(samples.requests, samples.origin_ms, nanos(skipped)..end, url, external);
        }
        let Counted { requests, successes } = counts.unwrap_or_default();
        let errors = [(ErrorKind::Other, requests - successes)];
        let (started, took) = (run.finished.started, run.finished.took);
        let skipped = skipped.min(took);
        let outcome = Outcome::of_sums(
            (requests, successes),
            &errors,
            (started + skipped, took - skipped),
            url,
            external,
        );
        Outcome {
            cancelled: run.finished.end == End::Cancelled,
            ..outcome
        }
    }

    fn requests(&self, jtl: &Path) -> Result<Samples, String> {
        let timing = &self.load.timing;
        let skipped = if self.load.warms_up_separately() {
            Duration::ZERO
        } else {
            timing.warm_up
        };
        let file = fs::File::open(jtl).map_err(|error| error.to_string())?;
        let samples = Samples::read(file, skipped)?;
        if samples.requests.is_empty() {
            Err("it has no request".to_owned())
        } else {
            Ok(samples)
        }
    }

    /// The first line that the program prints about its version; asked after the run, so as not to disturb it.
    fn version(&self, path: &Path, control: &Control) -> Option<String> {
        if self.load.version.is_empty() || control.is_cancelled() {
            return None;
        }
        let mut command = Process::new(path);
        command.args(&self.load.version).env("LC_ALL", "C").current_dir("/");
        let finished = execute(command, Some(VERSION_LIMIT), control).ok()?;
        let text = finished.stdout.text() + "\n" + &finished.stderr.text();
        let line = text
            .lines()
            .map(str::trim)
            .find(|line| line.contains(char::is_alphanumeric))?;
        Some(line.chars().take(200).collect())
    }

    /// Output streams and the files with figures, as they are kept.
    fn outputs(&self, run: &Run) -> Vec<(String, String)> {
        let mut outputs = vec![
            ("stdout".to_owned(), kept(&run.finished.stdout.text())),
            ("stderr".to_owned(), kept(&run.finished.stderr.text())),
        ];
        for FigureSpec { from, .. } in &self.load.figures {
            if let OutputPart::File(name) = from
                && outputs.iter().all(|(known, _)| known != name)
                && let Ok(text) = run.output(from)
            {
                outputs.push((name.clone(), kept(&text)));
            }
        }
        outputs.retain(|(_, text)| !text.is_empty());
        outputs
    }
}

impl Engine for Command {
    fn run(&self, control: &Control) -> Result<Outcome, LoadError> {
        let program = resolve(&self.load.program).map_err(|unusable| {
            let remedy = unusable.remedy(&self.load.install);
            failed(self.load.title(), format!("{unusable}; {remedy}"))
        })?;
        let timing = &self.load.timing;
        if self.load.warms_up_separately() {
            let warm_up = self.run_once(&program, timing.warm_up, control)?;
            if warm_up.finished.end == End::Cancelled || self.failure(&warm_up.finished).is_some() {
                return Ok(self.outcome(&program, &warm_up, control));
            }
        }
        let run = self.run_once(&program, timing.duration, control)?;
        Ok(self.outcome(&program, &run, control))
    }
}

/// A run of the program and what it left.
#[derive(Debug)]
struct Run {
    folder: TempDir,
    arguments: Vec<String>,
    finished: Finished,
}

impl Run {
    /// The text of a part of the output.
    fn output(&self, part: &OutputPart) -> Result<String, String> {
        let stream = |captured: &Captured| {
            if captured.is_cut {
                return Err(format!(
                    "{part} is longer than 16 MiB: let the program write a file, and name that in `from`"
                ));
            }
            Ok(captured.text())
        };
        match part {
            OutputPart::Stdout => stream(&self.finished.stdout),
            OutputPart::Stderr => stream(&self.finished.stderr),
            OutputPart::File(name) => read(&self.folder.path().join(name)).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => format!("the program wrote no file {name}"),
                _ => format!("{name}: {error}"),
            }),
        }
    }
}

/// A file as text; invalid UTF-8 is replaced.
fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("it is larger than {MAX_FILE} bytes")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A text, cut in the middle if it is long.
fn kept(text: &str) -> String {
    if text.len() <= MAX_KEPT {
        return text.to_owned();
    }
    let head = text.floor_char_boundary(MAX_KEPT / 2);
    let tail = text.ceil_char_boundary(text.len() - MAX_KEPT / 2);
    format!("{}\n[{} bytes left out]\n{}", &text[..head], tail - head, &text[tail..])
}

/// Request counts of a program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counted {
    requests: u64,
    successes: u64,
}

impl Counted {
    /// The counts that some figures are; `None`: there is neither a number of requests nor one of successes.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and a count is not negative"
    )]
    fn of(figures: &[Figure]) -> Option<Self> {
        let count = |of: CountOf| {
            let values = figures.iter().filter(|figure| figure.spec.counts == Some(of));
            let values: Vec<f64> = values.filter_map(|figure| figure.value).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>().round().max(0.0) as u64)
        };
        let failures = count(CountOf::Failures).unwrap_or(0);
        match (count(CountOf::Requests), count(CountOf::Successes)) {
            (Some(requests), successes) => Some(Self {
                requests,
                successes: successes.unwrap_or(requests.saturating_sub(failures)).min(requests),
            }),
            (None, Some(successes)) => Some(Self {
                requests: successes + failures,
                successes,
            }),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests;
