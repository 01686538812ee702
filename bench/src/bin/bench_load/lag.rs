//! How far from its due time a request goes out, seen from outside: by when it comes to a server that never sleeps, for all tools in the same way.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use analysis::audit::limits;
use anyhow::Context;
use loader::{Outcome, Scheduling};

use super::Bench;
use super::delayed::ARRIVALS;
use super::engine::{failures, rate_scheduled};
use super::rows::Rows;
use super::servers::{Server, own, pinned};
use super::tools;

/// Requests a second: the higher rate of `experiments.toml`.
const RATE: f64 = 1000.0;

/// How late requests came, sorted, us.
struct Late(Vec<f64>);

impl Late {
    /// Against the schedule of evenly spaced requests that the earliest of them follows, so that the constant way to the server is left out. The first second
    /// is for warming up.
    fn of(arrivals: &[u64]) -> anyhow::Result<Self> {
        let first = *arrivals.first().context("no request came")?;
        let measured: Vec<u64> = arrivals
            .iter()
            .copied()
            .filter(|ns| ns - first >= 1_000_000_000)
            .collect();
        let off: Vec<f64> = measured
            .iter()
            .enumerate()
            .map(|(n, &ns)| (ns - first) as f64 / 1e3 - n as f64 * 1e6 / RATE)
            .collect();
        let earliest = off.iter().copied().fold(f64::INFINITY, f64::min);
        let mut late: Vec<f64> = off.iter().map(|us| us - earliest).collect();
        late.sort_by(f64::total_cmp);
        anyhow::ensure!(late.len() > 100, "only {} requests came", late.len());
        Ok(Self(late))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in the list, rounded down"
    )]
    fn at(&self, quantile: f64) -> f64 {
        let place = quantile * (self.0.len() - 1) as f64;
        self.0[place as usize]
    }

    fn text(&self) -> String {
        let (p50, p99, max) = (self.at(0.5), self.at(0.99), self.at(1.0));
        format!("p50 {p50:.1} us, p99 {p99:.1} us, max {max:.1} us")
    }
}

/// Arrival times since they were last asked for.
fn arrivals(server: &Server) -> anyhow::Result<Vec<u64>> {
    let mut stream = TcpStream::connect(server.address)?;
    // In one piece: the server closes after its first read, and what it has not read then resets the connection.
    stream.write_all(format!("{ARRIVALS}HTTP/1.0\r\n\r\n").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text.lines().map(str::parse).collect::<Result<_, _>>()?)
}

/// A process that keeps the generators' core busy until it is dropped.
struct Burner(Child);

impl Burner {
    fn on(cpu: usize) -> anyhow::Result<Self> {
        let mut command = pinned(own()?, cpu);
        let child = command.arg("burn").stdin(Stdio::null()).spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Burner {
    fn drop(&mut self) {
        // It ends with this.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Keeps its CPU busy, for ever.
pub fn burn() {
    loop {
        std::hint::spin_loop();
    }
}

/// What the audit allows at this rate, us.
fn limit_us() -> f64 {
    let share_ns = 1e9 / RATE * limits::LAG_INTERVAL_SHARE;
    share_ns.clamp(limits::LAG_MIN_NS as f64, limits::LAG_MAX_NS as f64) / 1e3
}

/// Our engine, by its own account and seen from outside.
fn ours(real_time: bool, bench: &Bench, server: &Server) -> anyhow::Result<(f64, String)> {
    arrivals(server)?;
    let outcome = rate_scheduled(real_time, bench, server, RATE)?;
    let late = Late::of(&arrivals(server)?)?;
    let own_us = |quantile| outcome.histograms.lag.value_at_quantile(quantile) as f64 / 1e3;
    let text = format!(
        "{} ({}; by its own account p50 {:.1} us, p99 {:.1} us, max {:.1} us{}; {:.0} % of a core)",
        late.text(),
        scheduled(&outcome),
        own_us(0.5),
        own_us(0.99),
        own_us(1.0),
        failures(&outcome),
        outcome.usage.cpu_share() * 100.0
    );
    Ok((own_us(0.99), text))
}

fn scheduled(outcome: &Outcome) -> &'static str {
    match outcome.usage.scheduling {
        Some(Scheduling::RealTime) => "real time",
        Some(Scheduling::GaveUp) => "real time, given up",
        Some(Scheduling::Refused) => "real time refused",
        Some(Scheduling::Normal) | None => "normal",
    }
}

/// The other tools, seen from outside.
fn theirs(bench: &Bench, server: &Server) -> String {
    let seen = |name: &str, fired: anyhow::Result<()>| {
        let late = fired.and_then(|()| Late::of(&arrivals(server)?));
        late.map_or_else(
            |error| format!("{name}: {error:#}"),
            |late| format!("{name} {}", late.text()),
        )
    };
    // What went before is not theirs.
    let fresh = || arrivals(server).map(drop);
    let oha = seen("oha -q", fresh().and_then(|()| tools::oha_at(bench, server, RATE)));
    let httperf = fresh().and_then(|()| tools::httperf(bench, server, RATE, bench.seconds + 1.0, 1).map(drop));
    format!("{oha}; {}", seen("httperf", httperf))
}

/// Lag at the rate of the first experiment: alone, and with a program beside it that keeps the core busy.
pub fn lag(bench: &Bench, rows: &mut Rows) -> anyhow::Result<()> {
    let server = Server::delay(bench.server_cpu, 0)?;
    let limit = limit_us();
    for real_time in [true, false] {
        let what = if real_time { "" } else { ", without real time" };
        let (p99_us, text) = ours(real_time, bench, &server)?;
        let others = if real_time {
            theirs(bench, &server)
        } else {
            String::new()
        };
        let must = format!("valid: p99 <= {limit} us");
        rows.add(
            &format!("lag at {RATE} requests/s{what}"),
            text,
            others,
            &must,
            p99_us <= limit,
        );
    }
    let _burner = Burner::on(bench.cpu)?;
    let (p99_us, text) = ours(true, bench, &server)?;
    let others = theirs(bench, &server);
    let must = format!("valid: p99 <= {limit} us");
    rows.add(
        "lag with a burner on the same core",
        text,
        others,
        &must,
        p99_us <= limit,
    );
    let (p99_us, text) = ours(false, bench, &server)?;
    let must = format!("suspect: p99 > {limit} us");
    rows.add(
        "the same, without real time",
        text,
        String::new(),
        &must,
        p99_us > limit,
    );
    Ok(())
}
