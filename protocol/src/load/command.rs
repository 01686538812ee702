//! A load that a program of the user's generates, and how its output becomes figures.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::spec::{Timing, Transport, ns};
use super::template;
use crate::Name;

/// A program that generates a load. It runs on the controller's machine, never on a loader's: no message names a program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandLoad {
    /// The preset that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// The program: a name that `PATH` resolves, or a path.
    pub program: String,
    /// How to install it, for messages; empty: unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub install: String,
    /// Further programs that it starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Its arguments, with placeholders.
    pub arguments: Vec<String>,
    /// The values of placeholders that the preset declares.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Environment variables, with placeholders, in addition to the controller's own and `LC_ALL=C`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Files in its working directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<WorkingFile>,
    /// Arguments that make it print its version; empty: the version is not recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub version: Vec<String>,
    /// The exit code of success.
    pub exit_code: u8,
    /// It is killed after this time; a separate warm-up run, after its own share of it.
    #[serde(rename = "time_limit_ns", with = "ns")]
    pub time_limit: Duration,
    /// Durations. A duration of zero: the program is not told one and ends by itself.
    pub timing: Timing,
    /// The transport of the workloads that it is for; `None`: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// The figures in its output.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<FigureSpec>,
    /// The file in its working directory to which it writes every request, in JMeter's CSV format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jtl: Option<String>,
    /// Its CPU affinity; empty: any CPU.
    pub cpus: Vec<u32>,
}

impl CommandLoad {
    /// Whether one of its texts has this placeholder.
    #[must_use]
    pub fn mentions(&self, placeholder: &str) -> bool {
        let mut texts = self.templates();
        texts.any(|text| template::placeholders(text).any(|found| found == placeholder))
    }

    /// Its texts with placeholders.
    pub fn templates(&self) -> impl Iterator<Item = &str> {
        let files = self.files.iter().filter_map(|file| file.text.as_ref());
        let texts = self.arguments.iter().chain(self.environment.values()).chain(files);
        texts.map(String::as_str)
    }

    /// Whether the warm-up is a run of its own, rather than something that the program does itself.
    #[must_use]
    pub fn warms_up_separately(&self) -> bool {
        !self.timing.warm_up.is_zero() && !WARM_UP.iter().any(|placeholder| self.mentions(placeholder))
    }

    /// The longest time that it can take.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.time_limit * if self.warms_up_separately() { 2 } else { 1 }
    }

    /// The preset, or the name of the program.
    #[must_use]
    pub fn title(&self) -> &str {
        let path = self.preset.as_ref().unwrap_or(&self.program);
        let file = path.rsplit('/').next().unwrap_or(path);
        file.strip_suffix(".toml").unwrap_or(file)
    }
}

/// Placeholders for the warm-up: seconds, whole seconds, ms.
pub const WARM_UP: [&str; 3] = ["warm_up", "warm_up_s", "warm_up_ms"];
/// Placeholders for the measurement window.
pub const DURATION: [&str; 3] = ["duration", "duration_s", "duration_ms"];
/// Placeholders for the time-out of a request.
pub const TIMEOUT: [&str; 3] = ["timeout", "timeout_s", "timeout_ms"];
/// Placeholders for the service's address and the seed.
pub const OTHERS: [&str; 4] = ["host", "port", "address", "seed"];

/// A file in the working directory: a text, or a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkingFile {
    /// Its name in the working directory.
    pub name: String,
    /// Its content, with placeholders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The file that is copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// SHA-256 of the copied file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// A figure in the output of a program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FigureSpec {
    /// Its name.
    pub name: Name,
    /// Its unit in results.
    pub unit: String,
    /// Which values are better.
    pub better: Better,
    /// Where it is found.
    pub from: OutputPart,
    /// How it is found there.
    pub at: Extract,
    /// What is taken if there are several values; `None`: there must be only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take: Option<Take>,
    /// Its unit in the output, if it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_in: Option<String>,
    /// The character between groups of three digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thousands: Option<char>,
    /// The value if the output has none, for programs that omit a line of zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<f64>,
    /// Whether the output may lack it; the trial is invalid otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Whether platforms are compared in it.
    pub compare: bool,
    /// The request count that it is, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<CountOf>,
}

/// Which values of a figure are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// Higher ones.
    Higher,
    /// Lower ones.
    Lower,
    /// Neither: it describes the load, not the service.
    Neither,
}

/// A part of a program's output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputPart {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file in the working directory.
    File(String),
}

impl fmt::Display for OutputPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::File(name) => name,
        })
    }
}

/// How a figure is found in a part of the output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extract {
    /// JSON pointer (RFC 6901) into the only document.
    Json(String),
    /// Regular expression. The groups `value` and `unit`, or else the sum of all groups.
    Regex(String),
    /// Column of a CSV with a header.
    Csv(CsvColumn),
}

/// A column of a CSV.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvColumn {
    /// Its name in the header.
    pub column: String,
    /// Only rows with these values, by column.
    #[serde(default, rename = "where", skip_serializing_if = "BTreeMap::is_empty")]
    pub rows: BTreeMap<String, String>,
    /// The separator.
    pub delimiter: char,
}

/// What is taken of several values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Take {
    /// The first.
    First,
    /// The last.
    Last,
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

/// The request counts that a figure can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CountOf {
    /// All requests.
    Requests,
    /// Requests that succeeded.
    Successes,
    /// Requests that failed.
    Failures,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(preset: Option<&str>, program: &str, arguments: &[&str]) -> CommandLoad {
        CommandLoad {
            preset: preset.map(str::to_owned),
            program: program.to_owned(),
            install: String::new(),
            needs: vec![],
            arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
            parameters: BTreeMap::new(),
            environment: BTreeMap::new(),
            files: vec![],
            version: vec![],
            exit_code: 0,
            time_limit: Duration::from_secs(9),
            timing: Timing {
                warm_up: Duration::from_secs(2),
                duration: Duration::from_secs(5),
                timeout: Duration::ZERO,
            },
            transport: None,
            figures: vec![],
            jtl: None,
            cpus: vec![],
        }
    }

    #[test]
    fn a_program_that_is_told_the_warm_up_runs_once() {
        let twice = command(None, "wrk", &["-d{duration}s"]);
        assert!(twice.warms_up_separately());
        assert_eq!(twice.longest(), Duration::from_secs(18));
        let once = command(None, "wrk", &["--skip", "{warm_up_s}", "-d{duration}s"]);
        assert!(!once.warms_up_separately());
        assert_eq!(once.longest(), Duration::from_secs(9));
    }

    #[test]
    fn records_round_trip_and_omit_what_is_not_there() {
        let mut load = command(Some("wrk"), "wrk", &["{address}"]);
        let text = serde_json::to_string(&load).unwrap();
        assert!(
            !text.contains("figures") && !text.contains("transport") && text.contains("time_limit_ns\":9000000000"),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<CommandLoad>(&text).unwrap(), load);
        let figure = |name: &str, at: Extract| FigureSpec {
            name: name.parse().unwrap(),
            unit: "ms".to_owned(),
            better: Better::Lower,
            from: OutputPart::File("out.csv".to_owned()),
            at,
            take: Some(Take::Mean),
            given_in: Some("s".to_owned()),
            thousands: Some(','),
            otherwise: Some(0.0),
            optional: true,
            compare: true,
            counts: Some(CountOf::Failures),
        };
        let csv = CsvColumn {
            column: "p99".to_owned(),
            rows: BTreeMap::from([("test".to_owned(), "GET".to_owned())]),
            delimiter: ';',
        };
        load.figures = vec![
            figure("a", Extract::Json("/p99".to_owned())),
            figure("b", Extract::Regex("(.*)".to_owned())),
            figure("c", Extract::Csv(csv)),
        ];
        load.files = vec![WorkingFile {
            name: "x".to_owned(),
            text: None,
            path: Some("/x".into()),
            sha256: Some("0".repeat(64)),
        }];
        let text = serde_json::to_string(&load).unwrap();
        assert!(
            text.contains("\"at\":{\"csv\":{\"column\":\"p99\",\"where\":{\"test\":\"GET\"}"),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<CommandLoad>(&text).unwrap(), load);
    }

    #[test]
    fn a_title_is_short() {
        assert_eq!(command(Some("wrk"), "/opt/wrk", &[]).title(), "wrk");
        assert_eq!(command(Some("lab/mine.toml"), "x", &[]).title(), "mine");
        assert_eq!(command(None, "/opt/bin/wrk2", &[]).title(), "wrk2");
    }
}
