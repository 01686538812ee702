//! Whether times are right: against arithmetic, a known delay, and the schedule.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use protocol::load::Wait;

use super::Bench;
use super::engine::{failures, rate, rate_by};
use super::rows::Rows;
use super::servers::Server;
use super::tools;

const PERIOD: Duration = Duration::from_secs(1);
const STALL: Duration = Duration::from_millis(200);

/// Stops a process for 200 ms in each second until it is dropped.
struct Stalls {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Stalls {
    fn of(server: &Server) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (flag, pid) = (Arc::clone(&over), Pid::from_raw(server.pid().cast_signed()));
        let thread = std::thread::spawn(move || {
            let start = Instant::now();
            for second in 0.. {
                let begin = start + PERIOD * second;
                for (at, signal) in [(begin, Signal::SIGSTOP), (begin + STALL, Signal::SIGCONT)] {
                    std::thread::sleep(at.saturating_duration_since(Instant::now()));
                    // The server outlives this thread.
                    let _ = kill(pid, signal);
                }
                if flag.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        Self {
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A fifth of evenly spaced requests falls into a stall and waits evenly between 0 and 200 ms, so the quantile q lies at 200 ms x (q - 0.8) / 0.2.
pub fn stall(bench: &Bench, rows: &mut Rows) -> anyhow::Result<()> {
    const SECONDS: f64 = 10.0;
    const RATE: f64 = 1000.0;
    let server = Server::nginx(bench.server_cpu)?;
    let stalls = Stalls::of(&server);
    let outcome = rate(bench, &server, RATE, SECONDS, 256)?;
    let wrk = tools::wrk(bench, &server, SECONDS, &[]);
    let httperf = tools::httperf(bench, &server, RATE, SECONDS, 1);
    drop(stalls);
    let theirs = |quantile: f64| {
        let wrk = match &wrk {
            Ok(wrk) => format!("wrk {:.1} ms", if quantile > 0.995 { wrk.p999_ms } else { wrk.p99_ms }),
            Err(error) => error.to_string(),
        };
        let httperf = match &httperf {
            Ok(report) => format!(
                "httperf has no percentiles: avg {} median {} max {} ms",
                report.connection_ms[1], report.connection_ms[3], report.connection_ms[2]
            ),
            Err(error) => error.to_string(),
        };
        format!("{wrk}; {httperf}")
    };
    for quantile in [0.99, 0.999] {
        let truth_ms = STALL.as_secs_f64() * 1e3 * (quantile - 0.8) / 0.2;
        let found_ms = outcome.histograms.response.value_at_quantile(quantile) as f64 / 1e6;
        let off = (found_ms / truth_ms - 1.0) * 100.0;
        let ours = format!(
            "{found_ms:.1} ms, truth {truth_ms:.1} ms, off {off:+.2} %{}",
            failures(&outcome)
        );
        let what = format!("stall of 200 ms in each second, p{}", quantile * 100.0);
        rows.add(&what, ours, theirs(quantile), "within 2 %", off.abs() <= 2.0);
    }
    Ok(())
}

/// The median of the response time from a server that answers after a known delay.
///
/// It counts at a rate at which the kernel's code stays in the caches of both cores. At a low one every call of it costs many times as much, of whoever
/// calls; and a thread that sleeps is woken late. Both are shown, too.
pub fn delay(bench: &Bench, rows: &mut Rows) -> anyhow::Result<()> {
    const OFTEN: f64 = 1000.0;
    const SELDOM: f64 = 20.0;
    for millis in [1_u64, 5, 20] {
        let server = Server::delay(bench.server_cpu, millis * 1000)?;
        let error = |wait, rate| -> anyhow::Result<(f64, String)> {
            let outcome = rate_by(wait, bench, &server, (rate, bench.seconds), 32)?;
            let median_ns = outcome.histograms.response.value_at_quantile(0.5);
            let error_us = median_ns as f64 / 1e3 - millis as f64 * 1e3;
            Ok((error_us, format!("{error_us:+.1} us{}", failures(&outcome))))
        };
        let (error_us, ours) = error(Wait::Spin, OFTEN)?;
        let others = format!(
            "sleep {}; at {SELDOM}/s: spin {}, sleep {}",
            error(Wait::Sleep, OFTEN)?.1,
            error(Wait::Spin, SELDOM)?.1,
            error(Wait::Sleep, SELDOM)?.1
        );
        rows.add(
            &format!("a server with a delay of {millis} ms, {OFTEN}/s, wait = \"spin\", median"),
            format!("error {ours}; wait = {others}"),
            String::new(),
            "error < 50 us",
            error_us.abs() < 50.0,
        );
    }
    Ok(())
}

/// How far from its due time a request is sent.
pub fn timer(bench: &Bench, rows: &mut Rows) -> anyhow::Result<()> {
    let server = Server::tcp(bench.server_cpu)?;
    let outcome = rate(bench, &server, 10_000.0, bench.seconds, 32)?;
    let at = |quantile| outcome.histograms.lag.value_at_quantile(quantile) as f64 / 1e3;
    let ours = format!("p50 {:.1} us, p99 {:.1} us{}", at(0.5), at(0.99), failures(&outcome));
    rows.add(
        "timer error at 10,000 requests/s",
        ours,
        String::new(),
        "p99 < 50 us",
        at(0.99) < 50.0,
    );
    Ok(())
}
