//! httperf: its command line and its report.

use std::process::Command;
use std::time::{Duration, Instant};

use super::outcome::External;
use super::program::{pinned, run};
use crate::Engine;
use crate::control::Control;
use crate::error::{ErrorKind, LoadError};
use crate::outcome::Outcome;
use crate::target::Target;

/// How to install it.
pub const REMEDY: &str = "apt-get install httperf";

/// A run of httperf.
#[derive(Debug, Clone, PartialEq)]
pub struct HttperfPlan {
    /// Connections per second.
    pub rate_per_s: f64,
    /// Duration; httperf opens rate × duration connections.
    pub duration: Duration,
    /// Requests per connection.
    pub calls: u32,
    /// Time-out of connecting and of each reply.
    pub timeout: Duration,
}

impl HttperfPlan {
    /// Number of connections.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and it is positive"
    )]
    pub fn connections(&self) -> u64 {
        ((self.rate_per_s * self.duration.as_secs_f64()).round() as u64).max(1)
    }

    /// The command line, without CPU pinning.
    #[must_use]
    pub fn command(&self, target: &Target) -> Command {
        let mut command = Command::new("httperf");
        command.arg("--hog");
        let pairs = [
            ("--server", target.address.ip().to_string()),
            ("--port", target.address.port().to_string()),
            ("--uri", target.path.clone()),
            ("--rate", self.rate_per_s.to_string()),
            ("--num-conns", self.connections().to_string()),
            ("--num-calls", self.calls.to_string()),
            ("--timeout", self.timeout.as_secs_f64().to_string()),
        ];
        for (key, value) in pairs {
            command.arg(key).arg(value);
        }
        command
    }
}

/// The engine `httperf`: runs the program once for the warm-up and once for the window.
#[derive(Debug, Clone)]
pub struct Httperf {
    /// The run for the window.
    pub plan: HttperfPlan,
    /// Duration of the run for the warm-up.
    pub warm_up: Duration,
    /// CPU affinity; empty: any CPU.
    pub cpus: Vec<usize>,
    /// The target of the requests.
    pub target: Target,
}

impl Httperf {
    fn run_for(&self, duration: Duration, control: &Control) -> Result<String, LoadError> {
        let plan = HttperfPlan {
            duration,
            ..self.plan.clone()
        };
        run(pinned(plan.command(&self.target), &self.cpus), REMEDY, control)
    }
}

impl Engine for Httperf {
    fn run(&self, control: &Control) -> Result<Outcome, LoadError> {
        if !self.warm_up.is_zero() {
            self.run_for(self.warm_up, control)?;
        }
        let started = Instant::now();
        let text = self.run_for(self.plan.duration, control)?;
        let report = Report::parse(&text).map_err(|why| LoadError::Program {
            program: "httperf".to_owned(),
            why,
        })?;
        let due = self.plan.connections() * u64::from(self.plan.calls);
        let wrong = report.replies.saturating_sub(report.good);
        let mut errors = report.errors.clone();
        errors.push((ErrorKind::WrongStatus, wrong));
        let [min, mean, max, median, sd] = report.connection_ms.map(|ms| ms * 1e6);
        let external = External {
            program: "httperf".to_owned(),
            absent: &[
                "single requests",
                "p90 and above",
                "its own lag",
                "bodies",
                "Little's law",
            ],
            counts: true,
            // The lifetime of a connection is a response time only if it carries one request.
            response_ns: (self.plan.calls == 1 && report.good > 0).then_some([min, mean, sd, median, max]),
            report: text,
            ..External::default()
        };
        let length = (started, report.duration);
        Ok(Outcome::of_sums(
            (due, report.good),
            &errors,
            length,
            self.target.url(),
            external,
        ))
    }
}

/// httperf's report. It contains neither individual requests nor percentiles.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Connections initiated.
    pub connections: u64,
    /// Requests sent.
    pub requests: u64,
    /// Replies received.
    pub replies: u64,
    /// Replies with status 2xx.
    pub good: u64,
    /// Duration of the test.
    pub duration: Duration,
    /// Lifetime of successful connections, including connecting: min, avg, max, median and stddev, ms; resolution 0.1 ms, of the median 0.5 ms.
    pub connection_ms: [f64; 5],
    /// Mean time from sending a request to the first byte of its reply, ms; resolution 0.1 ms.
    pub response_ms: f64,
    /// Errors by kind.
    pub errors: Vec<(ErrorKind, u64)>,
}

impl Report {
    /// Parses a report of httperf 0.9.
    ///
    /// # Errors
    /// The missing or invalid part.
    pub fn parse(text: &str) -> Result<Self, String> {
        let line = |begin: &str| {
            let found = text.lines().find_map(|line| line.trim().strip_prefix(begin));
            found.ok_or_else(|| format!("httperf's report has no line {begin:?}"))
        };
        let total = line("Total: ")?;
        let status = line("Reply status: ")?;
        let mut connection_ms = [0.0; 5];
        // Without a successful connection the line is missing or contains nan.
        if let Ok(times) = line("Connection time [ms]: min ") {
            let times = format!("min {times}");
            for (place, word) in connection_ms.iter_mut().zip(["min", "avg", "max", "median", "stddev"]) {
                *place = after(&times, word)?;
            }
        }
        Ok(Self {
            connections: after(total, "connections")?,
            requests: after(total, "requests")?,
            replies: after(total, "replies")?,
            good: after(&status.replace('=', " "), "2xx")?,
            duration: Duration::try_from_secs_f64(after(total, "test-duration")?).map_err(|e| e.to_string())?,
            connection_ms,
            response_ms: after(line("Reply time [ms]: ")?, "response")?,
            errors: errors(text)?,
        })
    }

    /// Good replies per second.
    #[must_use]
    pub fn good_per_s(&self) -> f64 {
        self.good as f64 / self.duration.as_secs_f64().max(1e-9)
    }
}

/// httperf's names of errors, and our kinds.
const ERRORS: [(&str, ErrorKind); 8] = [
    ("client-timo", ErrorKind::Timeout),
    ("socket-timo", ErrorKind::Timeout),
    ("connrefused", ErrorKind::ConnectRefused),
    ("connreset", ErrorKind::Reset),
    ("fd-unavail", ErrorKind::FdExhausted),
    ("addrunavail", ErrorKind::AddressExhausted),
    ("ftab-full", ErrorKind::FdExhausted),
    ("other", ErrorKind::Other),
];

fn errors(text: &str) -> Result<Vec<(ErrorKind, u64)>, String> {
    let lines: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("Errors: ")).collect();
    let all = lines.join(" ");
    let counts = ERRORS.iter().map(|(word, kind)| Ok((*kind, after(&all, word)?)));
    let counts = counts.collect::<Result<Vec<_>, String>>()?;
    Ok(counts.into_iter().filter(|(_, count)| *count > 0).collect())
}

/// The number after a word.
fn after<T: std::str::FromStr>(line: &str, word: &str) -> Result<T, String> {
    let mut words = line.split_whitespace();
    words.find(|found| *found == word);
    let number = words.next().and_then(|number| number.parse().ok());
    number.ok_or_else(|| format!("httperf's report has no number after {word:?} in {line:?}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "httperf --hog --timeout=2 --client=0/1 --server=127.0.0.1 --port=18180 --uri=/ --rate=500 --num-conns=1000 --num-calls=1
Maximum connect burst length: 9

Total: connections 1000 requests 998 replies 997 test-duration 2.000 s

Connection rate: 500.0 conn/s (2.0 ms/conn, <=20 concurrent connections)
Connection time [ms]: min 0.1 avg 1.1 max 37.5 median 0.5 stddev 3.2
Connection time [ms]: connect 0.0
Connection length [replies/conn]: 1.000

Request rate: 500.0 req/s (2.0 ms/req)
Reply time [ms]: response 1.1 transfer 0.0
Reply status: 1xx=0 2xx=996 3xx=0 4xx=1 5xx=0

Errors: total 3 client-timo 2 socket-timo 0 connrefused 0 connreset 0
Errors: fd-unavail 1 addrunavail 0 ftab-full 0 other 0
";

    #[test]
    fn a_report_is_parsed() {
        let report = Report::parse(TEXT).unwrap();
        assert_eq!(
            (report.connections, report.requests, report.replies, report.good),
            (1000, 998, 997, 996)
        );
        assert_eq!(report.connection_ms, [0.1, 1.1, 37.5, 0.5, 3.2]);
        assert_eq!(report.errors, [(ErrorKind::Timeout, 2), (ErrorKind::FdExhausted, 1)]);
        assert!((report.good_per_s() - 498.0).abs() < 1e-9 && (report.response_ms - 1.1).abs() < 1e-9);
    }

    #[test]
    fn an_incomplete_report_is_refused_with_the_missing_part() {
        assert!(Report::parse("").unwrap_err().contains("Total"));
        let cut = &TEXT[..TEXT.find("Errors: fd").unwrap()];
        assert!(Report::parse(cut).unwrap_err().contains("fd-unavail"));
    }

    proptest! {
        #[test]
        fn arbitrary_text_does_not_panic(text in any::<String>(), cut in any::<prop::sample::Index>()) {
            let _ = Report::parse(&text);
            let _ = Report::parse(TEXT.get(..cut.index(TEXT.len())).unwrap_or_default());
        }
    }
}
