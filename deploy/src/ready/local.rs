//! Probes that do not talk to the service: a line of its output, and the exit code of a program.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use protocol::spec::{CommandProbe, OutputProbe};
use regex::bytes::Regex;
use tokio::time::{sleep, timeout};

use super::{Subject, pause};
use crate::mark::Mark;

/// Timeout of a program.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// Waits for a line of the service's log.
pub(super) async fn output(subject: &Subject<'_>, probe: &OutputProbe, until: Instant) -> Result<Instant, String> {
    let line = Regex::new(probe.line.as_str()).map_err(|error| error.to_string())?;
    let log = subject.deployment.logs.join(format!("{}.log", subject.service.name));
    let (from, mut reader) = (Instant::now(), LineReader::default());
    loop {
        // The file appears with the service.
        if reader
            .read(&log)
            .is_ok_and(|lines| lines.iter().any(|text| line.is_match(text)))
        {
            return Ok(Instant::now());
        }
        let pause = pause(&subject.service.ready, from);
        if Instant::now() + pause >= until {
            return Err(format!("no line of its output matches {:?}", probe.line.as_str()));
        }
        sleep(pause).await;
    }
}

/// Reads the lines that were added to a file.
#[derive(Debug, Default)]
struct LineReader {
    file: Option<File>,
    /// A line that is not complete yet.
    rest: Vec<u8>,
}

impl LineReader {
    /// The complete lines since the last call, without their ends.
    fn read(&mut self, path: &Path) -> io::Result<Vec<Vec<u8>>> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(File::open(path)?),
        };
        file.read_to_end(&mut self.rest)?;
        let Some(end) = self.rest.iter().rposition(|&byte| byte == b'\n') else {
            return Ok(Vec::new());
        };
        let rest = self.rest.split_off(end + 1);
        let complete = std::mem::replace(&mut self.rest, rest);
        let lines = complete[..end].split(|&byte| byte == b'\n');
        Ok(lines
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec())
            .collect())
    }
}

/// Runs a program until it exits with 0.
pub(super) async fn command(subject: &Subject<'_>, probe: &CommandProbe, until: Instant) -> Result<Instant, String> {
    let described = subject
        .service
        .description()
        .ok_or("only a described service is probed by a program")?;
    let command = described.probe_command(probe, subject.service.name.as_str(), subject.endpoint);
    let (program, args) = command.map_err(|error| error.to_string())?;
    let from = Instant::now();
    loop {
        let mark = Mark::of(subject.runner, subject.deployment.attempt, subject.service);
        let mut command = tokio::process::Command::new(&program);
        command
            .args(&args)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .envs(mark.environment())
            .current_dir("/")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let failure = match timeout(COMMAND_TIMEOUT, command.output()).await {
            Ok(Ok(output)) if output.status.success() => return Ok(Instant::now()),
            Ok(Ok(output)) => {
                let text = [output.stderr, output.stdout].concat();
                let text = String::from_utf8_lossy(&text);
                let first: String = text.lines().next().unwrap_or_default().chars().take(200).collect();
                format!("{} ended with {}: {first}", program.display(), output.status)
            }
            Ok(Err(error)) => format!("{}: {error}", program.display()),
            Err(_) => format!(
                "{} did not end within {} s",
                program.display(),
                COMMAND_TIMEOUT.as_secs()
            ),
        };
        let pause = pause(&subject.service.ready, from);
        if Instant::now() + pause >= until {
            return Err(failure);
        }
        sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_when_they_are_complete() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut reader = LineReader::default();
        assert!(reader.read(&log).is_err());
        let mut append = |text: &str| {
            use std::io::Write as _;
            let file = File::options().append(true).create(true).open(&log);
            file.unwrap().write_all(text.as_bytes()).unwrap();
            let lines = reader.read(&log).unwrap();
            lines
                .iter()
                .map(|line| String::from_utf8(line.clone()).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(append("list"), [] as [&str; 0]);
        assert_eq!(append("ening\r\none\ntw"), ["listening", "one"]);
        assert_eq!(append("o\n\n"), ["two", ""]);
    }
}
