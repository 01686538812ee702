//! Runs of a task: the service runs its program to the end for each request, and replies with what the run took.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use protocol::load::{RUN_COLUMNS, RUNS_FILE, RunsLoad};

use super::figures::{self, Figure};
use super::outcome::External;
use crate::Engine;
use crate::clock::{monotonic_ns, nanos};
use crate::control::{Control, Progress};
use crate::cpu::pin;
use crate::error::{ErrorKind, LoadError};
use crate::outcome::{Origin, Outcome};
use crate::request::Request;

/// What the service does not report of a run.
const ABSENT: &[&str] = &["its own lag"];
/// The column that says whether a run succeeded.
const OK: &str = "ok";
/// The longest reply, bytes.
const MAX_REPLY: usize = 64 << 10;
/// Interval at which cancellation is checked.
const POLL: Duration = Duration::from_millis(50);
/// Time-out of a connection.
const CONNECT: Duration = Duration::from_secs(2);

/// The engine of runs.
#[derive(Debug, Clone)]
pub struct Runs {
    load: RunsLoad,
    address: SocketAddr,
}

/// One run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Run {
    connected_ns: Option<u64>,
    first_byte_ns: Option<u64>,
    status: u16,
    bytes_in: u64,
    bytes_out: u64,
    /// Lines of `name value`.
    reply: Vec<(String, String)>,
    failure: Option<(ErrorKind, String)>,
}

impl Run {
    fn number(&self, name: &str) -> Option<u64> {
        let (_, value) = self.reply.iter().find(|(own, _)| own == name)?;
        value.parse().ok()
    }

    /// Its row in the table of runs; `None`: it reported nothing.
    fn row(&self, index: u32) -> Option<String> {
        let ms = |ns: u64| Duration::from_nanos(ns).as_secs_f64() * 1e3;
        let (wall, user, system) = (
            self.number("wall_ns")?,
            self.number("user_ns")?,
            self.number("system_ns")?,
        );
        #[expect(clippy::cast_precision_loss, reason = "memory sizes are far below 2^52")]
        let peak_mib = self.number("peak_kib")? as f64 / 1024.0;
        let code = self
            .number("exit_code")
            .map_or_else(String::new, |code| code.to_string());
        Some(format!(
            "{index},{},{},{},{},{peak_mib},{code},{},{}\n",
            ms(wall),
            ms(user + system),
            ms(user),
            ms(system),
            self.number("output_bytes")?,
            self.failure.is_none()
        ))
    }
}

impl Runs {
    /// The engine of runs of the task at this address.
    #[must_use]
    pub const fn new(load: RunsLoad, address: SocketAddr) -> Self {
        Self { load, address }
    }

    fn all(&self, control: &Control) -> Result<Outcome, LoadError> {
        if let Some(&cpu) = self.load.cpus.first() {
            pin(cpu as usize)?;
        }
        let origin = Origin::after(Duration::ZERO);
        let now = || monotonic_ns().saturating_sub(origin.monotonic_ns);
        let (mut requests, mut table) = (Vec::new(), format!("{},{OK}\n", RUN_COLUMNS.join(",")));
        let (mut begin_ns, mut failure, mut progress) = (None, None, Progress::default());
        for index in 0..self.load.warm_up_runs.saturating_add(self.load.runs) {
            if control.is_cancelled() {
                break;
            }
            let is_warm_up = index < self.load.warm_up_runs;
            let sent_ns = now();
            let run = self.one(&now, control);
            requests.push(request(&run, (sent_ns, now()), is_warm_up));
            progress.sent += 1;
            if run.failure.is_some() {
                progress.failed += 1;
            } else {
                progress.succeeded += 1;
            }
            control.publish(0, progress);
            let number = index + 1 - if is_warm_up { 0 } else { self.load.warm_up_runs };
            if !is_warm_up {
                begin_ns.get_or_insert(sent_ns);
                table.extend(run.row(number));
            }
            if let Some((kind, why)) = run.failure.filter(|_| failure.is_none()) {
                let which = if is_warm_up { "warm-up run" } else { "run" };
                failure = Some(format!("{which} {number}: {why}"));
                // The program may still run, and the next would wait for it.
                if kind == ErrorKind::Timeout {
                    break;
                }
            }
        }
        let cancelled = control.is_cancelled();
        let figures = self.figures(&table, &mut failure, cancelled);
        let external = External {
            program: RunsLoad::PROGRAM.to_owned(),
            absent: ABSENT,
            requests: true,
            counts: true,
            figures,
            outputs: vec![(RUNS_FILE.to_owned(), table)],
            failure: failure.filter(|_| !cancelled),
            ..External::default()
        };
        let window = begin_ns.unwrap_or(0)..u64::MAX;
        let url = self.address.to_string();
        let outcome = Outcome::of_requests(requests, origin.unix_ms(), window, url, external);
        Ok(Outcome {
            cancelled,
            started_monotonic_ns: origin.monotonic_ns,
            ..outcome
        })
    }

    /// Every figure of the successful runs.
    fn figures(&self, table: &str, failure: &mut Option<String>, cancelled: bool) -> Vec<Figure> {
        let mut found = Vec::new();
        for mut spec in RunsLoad::figures() {
            if let protocol::load::Extract::Csv(csv) = &mut spec.at {
                csv.rows.insert(OK.to_owned(), true.to_string());
            }
            let value = figures::extract(&spec, table).unwrap_or_else(|why| {
                if failure.is_none() && !cancelled {
                    *failure = Some(why);
                }
                None
            });
            found.push(Figure { spec, value });
        }
        found
    }

    /// Runs the program once.
    fn one(&self, now: &impl Fn() -> u64, control: &Control) -> Run {
        let mut run = Run::default();
        let exchanged = self.exchange(&mut run, now, control);
        run.failure = match exchanged {
            Err(failure) => Some(failure),
            Ok(body) => {
                let lines = body.lines().filter_map(|line| line.split_once(' '));
                run.reply = lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                let failure = run.reply.iter().find(|(name, _)| name == "failure");
                match failure {
                    Some((_, why)) => Some((ErrorKind::WrongBody, why.clone())),
                    None if run.status != 200 => Some((ErrorKind::WrongStatus, format!("status {}", run.status))),
                    None if run.number("wall_ns").is_none() => {
                        Some((ErrorKind::WrongBody, "the reply does not describe a run".to_owned()))
                    }
                    None => None,
                }
            }
        };
        run
    }

    /// Sends a request and reads the whole reply, whose body it returns.
    fn exchange(
        &self,
        run: &mut Run,
        now: &impl Fn() -> u64,
        control: &Control,
    ) -> Result<String, (ErrorKind, String)> {
        let failed = |kind| move |error: io::Error| (kind, error.to_string());
        let deadline_ns = now() + nanos(self.load.timing.timeout);
        let mut stream =
            TcpStream::connect_timeout(&self.address, CONNECT).map_err(failed(ErrorKind::ConnectFailed))?;
        run.connected_ns = Some(now());
        let head = format!(
            "GET /run HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.address
        );
        let sent = stream
            .set_read_timeout(Some(POLL))
            .and_then(|()| stream.write_all(head.as_bytes()));
        sent.map_err(failed(ErrorKind::Other))?;
        run.bytes_out = head.len() as u64;
        let (mut reply, mut piece) = (Vec::new(), [0; 4096]);
        while reply.len() < MAX_REPLY {
            match stream.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => {
                    run.first_byte_ns = run.first_byte_ns.or_else(|| Some(now()));
                    reply.extend_from_slice(&piece[..length]);
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    if control.is_cancelled() {
                        return Err((ErrorKind::Cancelled, "cancelled".to_owned()));
                    }
                    if now() >= deadline_ns {
                        let limit = self.load.timing.timeout;
                        let why = format!(
                            "it did not end within its time limit of {limit:?}; raise `time_limit` if that is too short"
                        );
                        return Err((ErrorKind::Timeout, why));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((ErrorKind::Reset, error.to_string())),
            }
        }
        run.bytes_in = reply.len() as u64;
        let text = String::from_utf8_lossy(&reply);
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| {
            (
                ErrorKind::ClosedEarly,
                "the connection was closed without a reply".to_owned(),
            )
        })?;
        run.status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Ok(body.to_owned())
    }
}

impl Engine for Runs {
    fn run(&self, control: &Control) -> Result<Outcome, LoadError> {
        // A thread of its own, because its affinity changes.
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| self.all(control));
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

fn request(run: &Run, (sent_ns, done_ns): (u64, u64), warm_up: bool) -> Request {
    Request {
        intended_ns: sent_ns,
        sent_ns: Some(sent_ns),
        connected_ns: run.connected_ns,
        first_byte_ns: run.first_byte_ns,
        done_ns,
        label: 0,
        status: run.status,
        bytes_in: run.bytes_in,
        bytes_out: run.bytes_out,
        connection: 0,
        thread: 0,
        in_flight: 1,
        error: run.failure.as_ref().map(|(kind, _)| *kind),
        warm_up,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::Arc;

    use protocol::load::Timing;

    use super::*;

    /// A service that gives these replies in turn, and then none.
    fn service(replies: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for reply in replies {
                let (mut client, _) = listener.accept().unwrap();
                let _ = client.read(&mut [0; 1024]);
                let head = if reply.is_empty() {
                    ""
                } else {
                    "HTTP/1.1 200 OK\r\n\r\n"
                };
                let _ = client.write_all(format!("{head}{reply}").as_bytes());
            }
            let silent = listener.accept();
            std::thread::sleep(Duration::from_secs(60));
            drop(silent);
        });
        address
    }

    fn runs(address: SocketAddr, (warm_up_runs, runs): (u32, u32), timeout: Duration) -> Runs {
        Runs::new(
            RunsLoad {
                runs,
                warm_up_runs,
                timing: Timing {
                    warm_up: Duration::ZERO,
                    duration: Duration::ZERO,
                    timeout,
                },
                cpus: vec![],
            },
            address,
        )
    }

    const GOOD: &str =
        "wall_ns 4000000\nuser_ns 2000000\nsystem_ns 1000000\npeak_kib 2048\noutput_bytes 3\nexit_code 0\n";
    const SLOW: &str =
        "wall_ns 8000000\nuser_ns 4000000\nsystem_ns 1000000\npeak_kib 1024\noutput_bytes 3\nexit_code 0\n";
    const BAD: &str = "wall_ns 9000000\nuser_ns 1\nsystem_ns 1\npeak_kib 9\noutput_bytes 0\nexit_code 3\nfailure exit code 3, expected 0\n";
    const MINUTE: Duration = Duration::from_secs(60);

    fn values(outcome: &Outcome) -> Vec<(String, Option<f64>)> {
        let figures = outcome.external.as_ref().unwrap().figures.iter();
        figures
            .map(|figure| (figure.spec.name.to_string(), figure.value))
            .collect()
    }

    #[test]
    fn figures_are_those_of_the_measured_runs() {
        let address = service(&[BAD, GOOD, SLOW]);
        let outcome = runs(address, (0, 3), MINUTE).run(&Control::new()).unwrap();
        let external = outcome.external.as_ref().unwrap();
        assert_eq!(external.failure.as_deref(), Some("run 1: exit code 3, expected 0"));
        assert_eq!((outcome.counts.due, outcome.counts.succeeded), (3, 2));
        let address = service(&[BAD, GOOD, SLOW]);
        let outcome = runs(address, (1, 2), MINUTE).run(&Control::new()).unwrap();
        assert_eq!((outcome.counts.due, outcome.warm_up.due), (2, 1));
        let expected = [
            ("wall-time", 6.0),
            ("cpu-time", 4.0),
            ("user-time", 3.0),
            ("system-time", 1.0),
            ("peak-memory", 2.0),
        ];
        assert_eq!(
            values(&outcome),
            expected.map(|(name, value)| (name.to_owned(), Some(value)))
        );
        let (name, table) = &outcome.external.as_ref().unwrap().outputs[0];
        assert_eq!((name.as_str(), table.lines().count()), ("runs.csv", 3));
        assert!(
            outcome.window.start > 0 && outcome.window.end < u64::MAX,
            "{:?}",
            outcome.window
        );
    }

    #[test]
    fn a_run_that_does_not_end_ends_the_load() {
        let address = service(&[GOOD]);
        let outcome = runs(address, (0, 5), Duration::from_millis(300))
            .run(&Control::new())
            .unwrap();
        assert_eq!((outcome.counts.due, outcome.counts.of(ErrorKind::Timeout)), (2, 1));
        let failure = outcome.external.unwrap().failure.unwrap();
        assert!(
            failure.starts_with("run 2: it did not end within its time limit of 300ms"),
            "{failure}"
        );
    }

    #[test]
    fn a_service_that_closes_or_talks_nonsense_is_a_failure() {
        let outcome = runs(service(&["", "hello"]), (0, 2), MINUTE)
            .run(&Control::new())
            .unwrap();
        assert_eq!(outcome.counts.of(ErrorKind::ClosedEarly), 1);
        assert_eq!(outcome.counts.of(ErrorKind::WrongBody), 1);
        assert!(values(&outcome).iter().all(|(_, value)| value.is_none()));
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let outcome = runs(closed, (0, 1), MINUTE).run(&Control::new()).unwrap();
        assert_eq!(outcome.counts.of(ErrorKind::ConnectFailed), 1);
    }

    #[test]
    fn a_cancelled_load_ends_at_once() {
        let control = Arc::new(Control::new());
        let other = Arc::clone(&control);
        let engine = runs(service(&[GOOD]), (0, 5), MINUTE);
        let thread = std::thread::spawn(move || engine.run(&other).unwrap());
        while control.progress().sent < 1 {
            std::thread::yield_now();
        }
        control.cancel();
        let outcome = thread.join().unwrap();
        assert!(outcome.cancelled && outcome.external.unwrap().failure.is_none());
    }
}
